"""A curing oven with four zones that speaks Modbus."""
