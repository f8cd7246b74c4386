"""Bring a log to where people look for it: tail the file, and deliver it at least once.

Nothing here runs in the process that writes the log; `python -m aind_capsule.shipping LOG` is a
process of its own, and `capsule push` the same code later. One direction: `source` reads the log,
a destination (`loki`) encodes and sends, `delivery` decides by its answer what comes next,
`logs.positions` remembers.
"""
