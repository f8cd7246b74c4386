"""The set-up of loguru and of the standard library's logging inside a processing."""
