"""The record: its fields, its levels, its times, and its one line of JSON.

A record is a plain mapping from field names to values; it becomes one JSON object on one line.
Nothing here opens a file or knows where records come from or go to.
"""
