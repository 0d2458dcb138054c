"""Turn observations into events of a station: pure, without a network, a disk or a clock."""
