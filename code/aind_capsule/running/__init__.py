"""The wrapper: one processing command from its start to its canonical record.

The story in order: `prepare`, then `run`, in it `supervise` while the processing lives, and
`finishing.finish_run`. The other modules each hold one part. Linux only. Nothing here imports
loguru, and no thread is ever started: the processing is forked from a process with one thread.
"""
