"""What a controller is commanded: its tool is locked, its clock set, and it is told of units."""
