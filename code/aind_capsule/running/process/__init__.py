"""Processes, signals and descriptors of a run. Nothing here knows of records."""
