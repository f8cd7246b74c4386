"""The processing's bytes become records: lines, tracebacks, records of other languages."""
