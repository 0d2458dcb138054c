"""What observations mean at a place on the line: pure, without a network, a disk or a clock."""
