"""Which registers are read together, and what their bytes mean."""
