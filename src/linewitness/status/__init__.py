"""The state of a line for operators: status page, metrics, health check, reports from the journal."""
