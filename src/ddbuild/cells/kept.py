"""Results in the cache that have cells by the recipes of a stage.

Each recipe is the name of a family in the cache, whose members are the results that have cells by it: small immutable
files in either tier, like everything else. What such a file points to may be gone; then there is nothing to reuse.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ddbuild import table
from ddbuild.cache import Cache, CacheMissError
from ddbuild.cache.result import ActionResult, Unit
from ddbuild.designer import CellScheme
from ddbuild.digest import Key, digest_of
from ddbuild.table import TableError

if TYPE_CHECKING:
    from ddbuild.table import KeptTable, Samples

__all__ = ["KeptResult", "find_kept", "list_units", "note_kept"]

_FEW_RESULTS = 8
_MOST_RESULTS = 64
_MOST_ROWS, _TIMES_ROWS = 100_000, 4
_MOST_CANDIDATES = 256
_DROPPED = "dropped-columns-parquet-files/"


@dataclass(frozen=True, slots=True)
class KeptResult:
    """A kept result with its rows as a table."""

    result: ActionResult
    table: KeptTable


def list_units(scheme: CellScheme) -> list[Unit]:
    """Return the units of `scheme` as a result records them."""
    return [Unit(recipe=unit.recipe, columns=list(unit.columns)) for unit in scheme.units]


def note_kept(result: ActionResult, cache: Cache) -> None:
    """Note that `result` has cells by the recipes of its units."""
    for unit in result.units:
        cache.record_family(Key(unit.recipe), _number(result), Key(result.key))


def find_kept(
    scheme: CellScheme, cache: Cache, samples: Samples, rows: int, *, renewal: str | None = None
) -> list[KeptResult]:
    """Return the kept results that have most cells by the recipes of `scheme`, the best and newest first.

    There are fewer of them where they have many times the `rows` that are wanted. With `renewal`, the digest of a salt,
    only what was made under that salt counts: a person has asked for new rows.
    """
    found: list[KeptResult] = []
    seen = 0
    for result in _find_results(scheme, cache, renewal):
        if (kept := _open(result, scheme, cache, samples)) is not None:
            found.append(KeptResult(result, kept))
            seen += kept.rows
            if len(found) == _MOST_RESULTS or (len(found) >= _FEW_RESULTS and seen > _MOST_ROWS + _TIMES_ROWS * rows):
                break
    return found


def _find_results(scheme: CellScheme, cache: Cache, renewal: str | None) -> list[ActionResult]:
    weights: Counter[Key] = Counter()
    for recipe, weight in {unit.recipe: 1 + 10 * unit.requests for unit in scheme.units if unit.is_reusable}.items():
        # The newest first; one key may have several results.
        for key in dict.fromkeys(key for _, key in reversed(cache.family_members(Key(recipe)))):
            weights[key] += weight
    results = []
    for key, _ in weights.most_common(_MOST_CANDIDATES):
        retry = 0
        while (found := cache.lookup(key, retry)) is not None:
            result, retry = found[0], retry + 1
            own = next((part.digest for part in result.parts if part.part == "renewal"), None)
            if result.units and result.rows and (renewal is None or own == renewal):
                results.append(result)
    wanted = {(unit.recipe, unit.columns) for unit in scheme.units}

    def rate(result: ActionResult) -> tuple[int, int, str]:
        same = sum((each.recipe, tuple(each.columns)) in wanted for each in result.units)
        return weights[Key(result.key)], same, result.provenance.created

    results.sort(key=rate, reverse=True)
    return results


def _open(result: ActionResult, scheme: CellScheme, cache: Cache, samples: Samples) -> KeptTable | None:
    """Return the rows of `result`; None where they are damaged, or have no cell that is wanted and new."""
    columns = _pair_units(result, scheme)
    if not columns:
        return None
    try:
        origins = None
        if result.samples is not None:
            cache.verify(result.samples)
            origins = cache.fetch(result.samples)
        numbers = {}
        for unit, pairs in columns.items():
            own = pairs[unit]
            numbers[unit] = samples.read(origins, own, result.rows, f"{result.key} {result.digest} {own}")
        # An edited stage keeps most of its cells, so that many results have the same ones.
        if not samples.has_new(numbers):
            return None
        sheets: list[tuple[Path, ...]] = [(_fetch_output(result, cache),)]
        there = set(table.read_schema(sheets[0][0]))
        wanted = {own for pairs in columns.values() for own in pairs.values()} | scheme.seed_reads()
        if not wanted <= there and any(name.startswith(_DROPPED) for name in result.files):
            dropped = tuple(_fetch_dropped(result, cache))
            if table.count_rows(dropped) == result.rows:
                sheets.append(dropped)
                there |= set.intersection(*(set(table.read_schema(file)) for file in dropped))
    except (CacheMissError, TableError, OSError):
        return None
    names: dict[str, str] = {}
    for unit, pairs in columns.items():
        if there.issuperset(pairs.values()):
            names |= pairs
        else:
            del numbers[unit]
    samples.note(numbers)
    return table.KeptTable(rows=result.rows, sheets=tuple(sheets), names=names, samples=numbers) if numbers else None


def _pair_units(result: ActionResult, scheme: CellScheme) -> dict[str, dict[str, str]]:
    """Return for each unit that `result` has cells of the names of its columns there, by their names here.

    Of several units of one recipe each one gets that of its own name, and the k-th one of the others the k-th.
    """
    kept: dict[str, list[Unit]] = {}
    for each in result.units:
        kept.setdefault(each.recipe, []).append(each)
    units = [unit for unit in scheme.units if unit.is_reusable]
    pairs = {}
    for of_own_name in (True, False):
        for unit in units:
            left = kept.get(unit.recipe, [])
            fit = [each for each in left if len(each.columns) == len(unit.columns)]
            own = next((each for each in fit if not of_own_name or each.columns == list(unit.columns)), None)
            if own is not None and unit.name not in pairs:
                left.remove(own)
                pairs[unit.name] = dict(zip(unit.columns, own.columns, strict=True))
    return {unit.name: pairs[unit.name] for unit in units if unit.name in pairs}


def _fetch_output(result: ActionResult, cache: Cache) -> Path:
    cache.verify(result.output)
    return cache.fetch(result.output)


def _fetch_dropped(result: ActionResult, cache: Cache) -> Sequence[Path]:
    files = []
    for name in sorted(name for name in result.files if name.startswith(_DROPPED)):
        cache.verify(result.files[name])
        files.append(cache.fetch(result.files[name]))
    return files


def _number(result: ActionResult) -> int:
    """Return the number of a result in the families of its recipes: newer ones have higher ones."""
    own = int(digest_of((result.key, result.retry)).removeprefix("xxh3_128:")[:6], 16)
    return int(datetime.fromisoformat(result.provenance.created).timestamp()) << 24 | own
