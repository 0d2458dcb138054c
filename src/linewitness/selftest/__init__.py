"""What a user runs on the own box and disk: faults injected into real journals, and the account of them."""
