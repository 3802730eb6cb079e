"""Arrays of numbers that stand for values and samples: which go together, and which are there for the first time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["combine", "find_fresh", "pair_in_order"]

Numbers = Any
"""A one-dimensional array of int64."""


def find_fresh(samples: Numbers, given: Sequence[Numbers]) -> Numbers:
    """Return the places of samples that are not `given`, of each its first one.

    Two kept rows may hold one sample, where a result was put together from another.
    """
    _, first = np.unique(samples, return_index=True)
    places = np.sort(first)
    for each in given:
        if len(each):
            places = places[~np.isin(samples[places], each)]
    return places


def combine(columns: Sequence[Numbers], length: int = 0) -> Numbers:
    """Return one number for each place, equal where the numbers of all columns are."""
    import pandas as pd

    total = np.zeros(len(columns[0]) if columns else length, dtype=np.int64)
    for numbers in columns:
        total = pd.factorize(total * np.int64(numbers.max(initial=0) + 1) + numbers)[0].astype(np.int64)
    return total


def pair_in_order(new: Numbers, kept: Numbers) -> tuple[Numbers, Numbers]:
    """Return the places that go together: the k-th of a number in `new` with the k-th of it in `kept`."""
    width = np.int64(max(len(new), len(kept)) + 1)
    _, here, there = np.intersect1d(
        new * width + _rank(new), kept * width + _rank(kept), assume_unique=True, return_indices=True
    )
    return here, there


def _rank(numbers: Numbers) -> Numbers:
    """Return for each place how many places before it have the same number."""
    order = np.argsort(numbers, kind="stable")
    ordered = numbers[order]
    is_first = np.ones(len(numbers), dtype=bool)
    is_first[1:] = ordered[1:] != ordered[:-1]
    first = np.maximum.accumulate(np.where(is_first, np.arange(len(numbers)), 0))
    ranks = np.empty(len(numbers), dtype=np.int64)
    ranks[order] = np.arange(len(numbers)) - first
    return ranks
