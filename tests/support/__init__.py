"""What tests share: plants, brokers, clocks, builders of records, and waiting for conditions."""
