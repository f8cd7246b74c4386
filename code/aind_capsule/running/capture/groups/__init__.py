"""Lines of output that belong together: one class for each kind of group.

`openings` knows which line begins which. A group is fed one line at a time and never sees where
the reads of a stream ended.
"""
