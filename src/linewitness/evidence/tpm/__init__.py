"""Starts of a gateway that a TPM has counted: what was copied and restored, runs a start that is not here."""
