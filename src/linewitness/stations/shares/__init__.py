"""What one device may put into the journal, and what is only counted meanwhile."""
