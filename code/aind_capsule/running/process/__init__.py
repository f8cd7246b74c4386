"""Processes, signals, descriptors and limits; knows no records."""
