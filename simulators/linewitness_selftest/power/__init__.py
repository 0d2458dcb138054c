"""Power cuts on a double of the disk: writes are recorded, and what any cut leaves is built and judged."""
