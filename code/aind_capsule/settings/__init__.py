"""Settings: one table, four sources, one frozen value.

`model` is the table, `load` reads flags, environment and files into it, `names` knows which
environment variables are ours and which are near misses.
"""
