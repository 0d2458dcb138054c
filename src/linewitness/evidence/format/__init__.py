"""The bytes: canonical form, records, keys, notes, checkpoints, tree and proofs."""
