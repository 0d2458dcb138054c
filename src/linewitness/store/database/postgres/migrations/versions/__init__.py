"""One module a version, each with what leads to it from the one before; there is no way back."""
