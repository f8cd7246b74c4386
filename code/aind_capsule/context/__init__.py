"""Where a run is: folders, platform and its ids, pipeline task, machine and its limits.

Called by `running`, `logs` and `cli`. But for `files` and `own_files`, which also write, everything
here only reads, takes its roots and its environment as arguments, and answers "unknown" (None or
empty) rather than raise: what a platform sets is often missing, empty or misspelt, and /proc and
cgroups are Linux only.
"""
