"""Alarms and audit events."""
