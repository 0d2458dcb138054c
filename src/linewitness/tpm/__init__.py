"""The machine's TPM 2.0: a counter that only rises, and its signed word of where it stands."""
