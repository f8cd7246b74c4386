"""What belongs to a capsule's own files: the guard line of its script."""
