"""The command line: one module per command, loaded when it is called.

Owns words, options, signals and exit codes. What a command does, and what it says, is below: `build` and `report`.
"""
