"""Listen to PLCs over OPC UA, so that what changed, when, and how sure the server was become evidence."""
