"""What the screens beside the work may show of the stations."""
