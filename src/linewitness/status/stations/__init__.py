"""Screens beside the work: the newest picture of each station, its page, and the stream of its changes."""
