"""The columns of a config in the order in which it names them.

Data Designer's own order is that in which the columns of a batch happened to be finished: it differs from batch to
batch, and from run to run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from data_designer.config.config_builder import DataDesignerConfigBuilder

__all__ = ["list_columns"]


def list_columns(builder: DataDesignerConfigBuilder) -> list[str]:
    """Return the columns that `builder` names, each followed by what it makes beside itself; not those of a seed."""
    return [name for each in builder.get_column_configs() for name in (each.name, *each.side_effect_columns)]
