"""Which results are safe, which are missing, and whether the controller's memory began anew; pure."""
