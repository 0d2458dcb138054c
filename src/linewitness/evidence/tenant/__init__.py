"""What a store says of a tenant in a stream of its own: the rules of these records, and who obeys them."""
