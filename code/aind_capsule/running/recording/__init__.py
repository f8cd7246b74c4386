"""The stream of a run's records, and what its last one says."""
