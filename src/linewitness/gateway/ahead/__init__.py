"""What the store learns before a backlog has drained: the head of the stream, and notices of alarms."""
