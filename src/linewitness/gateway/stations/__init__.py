"""What stations order and know: gates, commands about units, the time."""
