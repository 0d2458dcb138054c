"""What gateways say before their records have come: how many are on their way, and notices of alarms."""
