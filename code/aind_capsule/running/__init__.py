"""The wrapper: one processing command from its start to its canonical record.

`run` tells the whole story in order; `supervise` is its middle, while the processing lives; the
other modules each hold one part. Linux only. Nothing here imports loguru, and no thread is ever
started: the processing is forked from a process that has one thread.
"""
