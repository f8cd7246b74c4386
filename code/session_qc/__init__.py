"""Dynamic-foraging session QC: find sessions, read them, measure them, draw them.

Called by `run_capsule.py`, the processing of this repository's own capsule. It never logs and never
decides on an exit status; what is wrong with an input is a `SessionError`, whose message is fit for
the log as it is.
"""
