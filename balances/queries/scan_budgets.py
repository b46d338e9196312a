"""How much one page may read.

Where an index gives the rows that are wanted, a page reads only these. Where a filter is no condition of an index, rows
are looked through in the order of the list, `SCAN` of them for one page at most: then a page may be short, or empty,
and its `next` goes on where the looking ended.
"""

SCAN = 5000
"""Rows that are looked through for one page."""
MERGED = 50
"""Tokens whose transfers are merged from an index each; of more, transfers are looked through."""
LOOKED_UP = 1000
"""Pairs of token and account, or tokens of one realm, that are looked up for one page."""
LAST = "\U0010ffff"
"""A text after every address."""
