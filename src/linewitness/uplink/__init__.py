"""The connection to the MQTT broker: options, TLS, one session, and the names of the topics."""
