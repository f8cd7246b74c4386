"""Which level a line of text states, in the forms of the programs that people run.

`leads` knows what may stand before a level's word, `forms` how the word is written, `values` what
is a metric and no statement, and `infer` asks them.
"""
