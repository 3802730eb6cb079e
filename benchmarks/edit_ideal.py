"""The tool that asks only for what it must: a reckoning, without Data Designer and without a server.

A cell is what one column has in one row. Its recipe is its column's config and model, with the recipes of the columns
of the same stage that it reads. It is needed if no kept cell has its recipe and the values that it reads; the k-th cell
with both takes the k-th kept one, so that equal prompts stay separate samples. Names of targets, folders and machines
have no part in it.
"""

from __future__ import annotations

import itertools
import json
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from edit_replies import Replies
from edit_rows import call_back, make_seed, read_source, run_transform, sort_targets

from ddbuild.graph.graph import TargetGraph
from ddbuild.graph.targets import Source, Stage, Transform
from ddbuild.label import Label

_ASKS = ("llm-text", "llm-judge", "llm-code", "llm-structured")
# What a request says is the same whatever these are.
_NO_PART_OF_A_MODEL = ("alias", "skip_health_check")
_NO_PART_OF_A_REQUEST = ("max_parallel_requests", "timeout")

Cell = tuple[str, str]


class IdealTool:
    """Keeps the cells of every run it has made."""

    def __init__(self, replies: Replies) -> None:
        self._replies = replies
        self._kept: dict[Cell, list[Any]] = {}
        self._draws = itertools.count()

    def run(self, graph: TargetGraph) -> tuple[int, dict[Label, pd.DataFrame]]:
        """Return how many requests a run of `graph` needs, and the rows of each target."""
        run = _Run(self._kept, self._replies, self._draws)
        outputs: dict[Label, pd.DataFrame] = {}
        for label in sort_targets(graph):
            target = graph[label]
            if isinstance(target, Source):
                outputs[label] = read_source(target)
            elif isinstance(target, Transform):
                outputs[label] = run_transform(target, outputs)
            else:
                outputs[label] = run.make(target, make_seed(target, outputs))
        self._kept = run.cells
        return run.requests, outputs


class _Run:
    def __init__(self, kept: Mapping[Cell, list[Any]], replies: Replies, draws: itertools.count[int]) -> None:
        self.requests = 0
        self.cells: dict[Cell, list[Any]] = {cell: list(values) for cell, values in kept.items()}
        self._taken: Counter[Cell] = Counter()
        self._replies = replies
        self._draws = draws

    def make(self, stage: Stage, seed: pd.DataFrame | None) -> pd.DataFrame:
        config = stage.config()
        seeds = [] if seed is None else json.loads(seed.to_json(orient="records"))
        count = stage.num_records or len(seeds)
        rows = [dict(seeds[number % len(seeds)]) if seeds else {} for number in range(count)]
        models = {model.alias: model for model in config.model_configs}
        recipes: dict[str, str] = {}
        for column in _sort_columns(config.get_column_configs()):
            recipes[column.name] = _write_recipe(column, models, recipes)
            for row in rows:
                reads = {name: row[name] for name in sorted(column.required_columns)}
                cell = (recipes[column.name], json.dumps(reads, sort_keys=True))
                kept = self.cells.setdefault(cell, [])
                if self._taken[cell] == len(kept):
                    kept.append(self._make_value(column, row))
                row[column.name] = kept[self._taken[cell]]
                self._taken[cell] += 1
        if stage.on_success is None:
            return pd.DataFrame(rows)
        with tempfile.TemporaryDirectory() as name:
            (batches := Path(name, "parquet-files")).mkdir()
            pd.DataFrame(rows).to_parquet(batches / "batch_00000.parquet")
            return call_back(stage.on_success, Path(name))

    def _make_value(self, column: Any, row: dict[str, Any]) -> Any:
        kind = column.column_type
        if kind in _ASKS:
            self.requests += 1
            prompt = _render(column.prompt, row)
            return self._replies.judge(prompt) if kind == "llm-judge" else self._replies.write(prompt)
        if kind == "expression":
            text = _render(column.expr, row)
            return int(text) if column.dtype == "int" else text
        if kind == "sampler":
            return f"draw {next(self._draws)}"
        raise SystemExit(f"the reckoning knows no columns of type {kind}")


def _sort_columns(columns: list[Any]) -> list[Any]:
    """Return the columns with those that a column reads before it."""
    ordered: list[Any] = []
    waiting = list(columns)
    while waiting:
        names = {each.name for each in waiting}
        column = next(each for each in waiting if not names.intersection(each.required_columns))
        ordered.append(column)
        waiting.remove(column)
    return ordered


def _write_recipe(column: Any, models: Mapping[str, Any], recipes: Mapping[str, str]) -> str:
    own = column.model_dump(mode="json", exclude={"name", "drop", "model_alias"})
    if (alias := getattr(column, "model_alias", None)) is not None:
        model = models[alias].model_dump(mode="json", exclude=set(_NO_PART_OF_A_MODEL))
        for name in _NO_PART_OF_A_REQUEST:
            model["inference_parameters"].pop(name, None)
        own["model"] = model
    own["reads"] = {name: recipes.get(name) for name in sorted(column.required_columns)}
    return json.dumps(own, sort_keys=True)


def _render(template: str, row: Mapping[str, Any]) -> str:
    return jinja2.Template(template).render(row)
