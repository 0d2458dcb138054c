"""One MQTT connection to the broker: topics, limits, and why one was refused."""
