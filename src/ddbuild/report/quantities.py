"""Sizes and ages as people type and read them: 10G, 1.5 GiB, 30d, 3 days ago."""

from __future__ import annotations

import re

__all__ = ["parse_age", "parse_size", "say_age", "say_size"]

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(?:([kmgtp])(?:i?b)?|b)?\s*", re.IGNORECASE)
_AGE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([smhdw])\s*", re.IGNORECASE)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_MOST = 10**15


def parse_size(text: str) -> int:
    """Return the bytes that `text` writes: `10G`, `1.5GiB`, `500M`, `1000`; each unit is 1024 of the one below it.

    Raises:
        ValueError: it writes none.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(text)
    power = 1 + "kmgtp".index(match[2].lower()) if match[2] else 0
    return int(float(match[1]) * float(1024**power))


def parse_age(text: str) -> float:
    """Return the seconds that `text` writes: `30d`, `12h`, `45m`, `2w`, `90s`; 0 needs no unit.

    Raises:
        ValueError: it writes none.
    """
    if text.strip() == "0":
        return 0.0
    match = _AGE.fullmatch(text)
    if match is None or float(match[1]) > _MOST:
        raise ValueError(text)
    return float(match[1]) * _SECONDS[match[2].lower()]


def say_size(size: int) -> str:
    """Return "0 B", "999 B", "1.5 GiB"."""
    value, unit = float(size), _UNITS[0]
    for unit in _UNITS:
        if value < 1023.95 or unit == _UNITS[-1]:
            break
        value /= 1024
    return f"{size} B" if unit == "B" else f"{value:.1f} {unit}"


def say_age(seconds: float) -> str:
    """Return how long something is, or was ago, in one unit: "5 s", "12 min", "3 h", "40 days"."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    if whole < 2 * 86_400:
        return f"{whole // 3600} h"
    return f"{whole // 86_400:,} days"
