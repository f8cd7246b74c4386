"""The log file and what makes records in Python: the writer, the reader, the loguru configuration.

`writer` and `reader` own the file's format; `configure` and its neighbours turn loguru's and the
standard library's records into ours, and hand them to the wrapper (`client`) or to a file.
"""
