"""Logging inside a Python processing: what is particular to loguru, stderr and the user's sinks."""
