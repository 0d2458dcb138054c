"""Whose word counts for an auditor: policies, the customer's key, revocations."""
