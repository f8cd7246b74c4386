"""Logging inside a Python processing: loguru, the standard library, stderr, the user's sinks."""
