"""Which samplers of a config are drawn together: one needs the values, or the parameters, of the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from data_designer.config.config_builder import DataDesignerConfigBuilder

__all__ = ["find_drawn_together"]


def find_drawn_together(builder: DataDesignerConfigBuilder) -> Iterator[tuple[str, str]]:
    """Yield pairs of names, the second of which may be no sampler: by conditions, parameters and constraints."""
    from data_designer.config.utils.misc import extract_keywords_from_jinja2_template

    for column in builder.get_column_configs():
        if column.column_type != "sampler":
            continue
        for condition in column.conditional_params:
            for other in extract_keywords_from_jinja2_template("{{ " + condition + " }}"):
                yield column.name, other
        for params in (column.params, *column.conditional_params.values()):
            for field in ("category", "reference_column_name"):
                if isinstance(other := getattr(params, field, None), str):
                    yield column.name, other
    for constraint in builder.build().constraints or []:
        if isinstance(constraint.rhs, str):
            yield constraint.target_column, constraint.rhs
