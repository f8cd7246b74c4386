"""Processes of the run: how they are started, watched and ended; nothing here knows of records."""
