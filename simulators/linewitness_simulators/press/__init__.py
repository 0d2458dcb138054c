"""A hydraulic press with an OPC UA server: what the OPC UA driver is tried against."""
