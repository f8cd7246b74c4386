"""What is secret never reaches a file: names, shapes and known values that are replaced by a mark.

`names` says which fields and variables hold secrets, `rules` which shapes of text are secrets,
`known` in which forms a known value may appear; `redactor` puts a mark in their place, and
`stream` does so in a stream of bytes.
"""
