"""The log file: what is whole of it."""
