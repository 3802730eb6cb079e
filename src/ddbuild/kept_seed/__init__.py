"""A seed of kept cells: how a config names it, and how Data Designer reads it.

Whoever imports Data Designer imports `source` as well, so nothing else may be imported with it.
"""
