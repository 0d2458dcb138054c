"""The reference audit store: verify a gateway's records, keep them, and give a receipt for them."""
