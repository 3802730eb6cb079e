"""Deciding what is a hit, what must run, and why, without running anything."""
