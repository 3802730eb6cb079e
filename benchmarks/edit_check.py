"""Whether rows are what they should be after an edit, whatever they have cost."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import jinja2
import pandas as pd
from edit_replies import Replies

from ddbuild.graph.graph import TargetGraph
from ddbuild.graph.targets import Source, Stage
from ddbuild.label import Label

__all__ = ["find_wrong"]


def find_wrong(
    graph: TargetGraph, made: Mapping[Label, pd.DataFrame], expected: Mapping[Label, pd.DataFrame], replies: Replies
) -> list[str]:
    """Return what is wrong with `made`, in words.

    Each target has as many rows as expected, with the sources' values in the expected order. Each text was said to the
    very prompt that its row gives, and to one row only.
    """
    wrong = []
    given = {name for label in graph if isinstance(graph[label], Source) for name in expected[label].columns}
    for label, rows in made.items():
        target = graph[label]
        should = expected[label]
        if len(rows) != len(should):
            wrong.append(f"{label.name} has {len(rows)} rows, not {len(should)}")
            continue
        for name in given.intersection(rows.columns, should.columns):
            if rows[name].tolist() != should[name].tolist():
                wrong.append(f"{label.name} has other rows in `{name}`")
        if isinstance(target, Stage):
            for column in target.config().get_column_configs():
                if column.column_type in ("llm-text", "llm-judge") and not _fits(column, rows, replies):
                    wrong.append(f"{label.name} has texts in `{column.name}` that were not made for their rows")
    return wrong


def _fits(column: Any, rows: pd.DataFrame, replies: Replies) -> bool:
    template = jinja2.Template(column.prompt)
    said = []
    for row in rows.to_dict("records"):
        found = re.search(r"text number (\d+)", str(row[column.name]))
        if found is None or template.render(row) not in replies.prompts.get(int(found[1]), ""):
            return False
        said.append(found[1])
    return len(set(said)) == len(said)
