"""Take what devices send: in the order of arrival, and within the share of each."""
