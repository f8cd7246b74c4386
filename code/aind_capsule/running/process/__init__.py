"""Processes, descriptors and signals of the wrapper; knows no records."""
