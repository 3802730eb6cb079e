"""Telling people and programs what happened: terminal, summaries, tables, errors, and the JSON document.

Decides nothing and runs nothing: everything here turns values of a build or a plan into text.
"""
