"""Records as zstd frames, where they are sent and where they are stored; a reader sees their exact bytes."""
