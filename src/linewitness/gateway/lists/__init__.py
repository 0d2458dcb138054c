"""The lists that others own: watch their files, keep the last good ones, and let stations decide by them."""
