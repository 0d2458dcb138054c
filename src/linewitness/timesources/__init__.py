"""Where the time comes from, and how well it is known: NTP servers asked by us, or chrony where it runs."""
