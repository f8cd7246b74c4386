"""Where a run is: folders, platform and its ids, pipeline task, machine and its limits.

Everything here only reads, takes its roots and its environment as arguments, and answers "unknown"
rather than raise: what a platform sets is often missing, empty or misspelt.
"""
