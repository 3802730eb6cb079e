"""One config cut into several that follow one another: a later part reads what the earlier ones made from its seed.

Whatever is declared from a cut on belongs to the next part, so that the columns come out in their declared order. A
cut is refused where rows could come out different: a column that needs one of a later part, samplers that are drawn
together, a column whose skipping the next part could not see, and processors that are not Data Designer's own.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any, Literal

from ddbuild.designer.config import copy_builder
from ddbuild.designer.drawn_together import find_drawn_together
from ddbuild.errors import GraphError
from ddbuild.suggestion import suggest

if TYPE_CHECKING:
    from data_designer.config.config_builder import DataDesignerConfigBuilder

__all__ = ["split_builder"]

_DROP = "ddbuild_drop_columns"


def split_builder(
    builder: DataDesignerConfigBuilder,
    *,
    subject: str,
    at: Sequence[str] | None = None,
    by: Literal["model"] | None = None,
) -> list[DataDesignerConfigBuilder]:
    """Return the parts of `builder`, the first one with its seed, the last one with its processors.

    Args:
        builder: It stays as it is.
        subject: What messages call the config.
        at: The columns with which a new part begins.
        by: "model" begins a new part at each column that asks other models than the ones before it.

    Raises:
        GraphError: it cannot be cut there; the message says what is in the way.
    """
    return _Split(copy_builder(builder), subject, at, by).make()


class _Split:
    def __init__(
        self, builder: DataDesignerConfigBuilder, subject: str, at: Sequence[str] | None, by: str | None
    ) -> None:
        self._builder = builder
        self._subject = subject
        self._columns: dict[str, Any] = {column.name: column for column in builder.get_column_configs()}
        self._makers = {name: column.name for column in self._columns.values() for name in column.side_effect_columns}
        self._makers |= {name: name for name in self._columns}
        self._cuts = self._read_cuts(at) if by is None else self._find_models(by)
        self._parts = self._number()
        self._last = len(self._cuts)

    def make(self) -> list[DataDesignerConfigBuilder]:
        """Check that the cuts leave the rows as they are, and return the parts."""
        self._check_processors()
        self._check_order()
        self._check_samplers()
        self._check_skips()
        return [self._make_part(number) for number in range(self._last + 1)]

    # Where to cut

    def _read_cuts(self, at: Sequence[str] | None) -> list[str]:
        if not at:
            raise self._refuse("is to be cut, and nothing says where", 'say `at=["column", ...]` or `by="model"`')
        if isinstance(at, str):
            raise self._refuse(f"is to be cut at `{at}`, which is no list", f'write `at=["{at}"]`')
        for name in at:
            if name not in self._columns:
                guess = suggest(name, self._columns)
                hint = f"did you mean `{guess}`?" if guess else f"its columns are {', '.join(self._columns)}"
                raise self._refuse(f"is to be cut at `{name}`, and has no such column", hint)
        if next(iter(self._columns)) in at:
            first = next(iter(self._columns))
            raise self._refuse(f"is to be cut at `{first}`, and nothing comes before it", "take it out of `at`")
        return [name for name in self._columns if name in at]

    def _find_models(self, by: str) -> list[str]:
        if by != "model":
            raise self._refuse(f"is to be cut by `{by}`", 'there is only `by="model"`')
        cuts, now = [], None
        for name, column in self._columns.items():
            models = frozenset(column.get_model_aliases())
            if models and now is not None and models != now:
                cuts.append(name)
            now = models or now
        return cuts

    def _number(self) -> dict[str, int]:
        numbers, part = {}, 0
        for name in self._columns:
            part += name in self._cuts
            numbers[name] = part
        return numbers

    # What must not be cut

    def _check_order(self) -> None:
        for name in self._columns:
            for needed in self._needs(name):
                if self._parts[needed] > self._parts[name]:
                    cut = self._cuts[self._parts[name]]
                    raise self._refuse(
                        f"cannot be cut at `{cut}`: `{name}` comes before it, and needs `{needed}`, which comes after",
                        f"declare `{name}` after `{needed}`, or cut somewhere else",
                    )

    def _check_samplers(self) -> None:
        for one, other in find_drawn_together(self._builder):
            if {one, other} <= set(self._parts) and self._parts[one] != self._parts[other]:
                first, second = sorted((one, other), key=list(self._columns).index)
                cut = self._cuts[self._parts[second] - 1]
                raise self._refuse(
                    f"cannot be cut at `{cut}`: the samplers `{first}` and `{second}` are drawn together",
                    f"declare `{second}` before `{cut}`",
                )

    def _check_skips(self) -> None:
        skipped: set[str] = set()
        # Columns can be declared before those that they need: a few rounds find all that a skip reaches.
        for _ in self._columns:
            before = len(skipped)
            for name, column in self._columns.items():
                reached = column.propagate_skip and skipped.intersection(self._makers_of(column.required_columns))
                if column.skip is not None or reached:
                    skipped.add(name)
            if len(skipped) == before:
                break
        for name in self._columns:
            for needed in self._needs(name) & skipped:
                if self._parts[needed] < self._parts[name]:
                    cut = self._cuts[self._parts[name] - 1]
                    raise self._refuse(
                        f"cannot be cut at `{cut}`: `{name}` comes after it and needs `{needed}`, which may be skipped,"
                        " and what was skipped cannot be seen across a cut",
                        f"cut before `{needed}`, or after `{name}`",
                    )
        for needed in self._shown() & skipped:
            if self._parts[needed] < self._last:
                raise self._refuse(
                    f"cannot be cut after `{needed}`: a processor needs it, and it may be skipped,"
                    " and what was skipped cannot be seen across a cut",
                    f"make the last cut before `{needed}`",
                )

    def _check_processors(self) -> None:
        for processor in self._builder.get_processor_configs():
            if not type(processor).__module__.startswith("data_designer."):
                raise self._refuse(
                    f"cannot be cut: its processor `{processor.name}` may change the columns of every part",
                    "make it an output processor of the stage: `output_processors=[...]`",
                )

    # What needs what

    def _needs(self, name: str) -> set[str]:
        """The columns of the config that `name` reads; a column of the seed is there for all parts."""
        column = self._columns[name]
        texts = [*column.required_columns, *(column.skip.columns if column.skip is not None else ())]
        return self._makers_of(texts) - {name}

    def _makers_of(self, names: Sequence[str]) -> set[str]:
        return {self._makers[name] for name in names if name in self._makers}

    def _shown(self) -> set[str]:
        """The columns that templates of processors read."""
        from data_designer.config.utils.misc import extract_keywords_from_jinja2_template

        names: set[str] = set()
        for processor in self._builder.get_processor_configs():
            if (template := getattr(processor, "template", None)) is not None:
                names.update(extract_keywords_from_jinja2_template(json.dumps(template)))
        return self._makers_of(sorted(names))

    # The parts

    def _make_part(self, number: int) -> DataDesignerConfigBuilder:
        from data_designer.config.config_builder import DataDesignerConfigBuilder
        from data_designer.config.processors import DropColumnsProcessorConfig

        whole = copy_builder(self._builder)
        part = DataDesignerConfigBuilder(model_configs=whole.model_configs, tool_configs=whole.tool_configs)
        own = [column for column in whole.get_column_configs() if self._parts[column.name] == number]
        dropped_here = [name for name in self._columns if self._dropped_in(name) == number]
        by_flag = {column.name for column in own} & set(dropped_here)
        if len(by_flag) == len(own):
            # Data Designer takes a config for empty if all its own columns are dropped by their flags.
            by_flag = set()
        for column in own:
            column.drop = column.name in by_flag
            part.add_column(column)
        if number == 0 and (seed := whole.get_seed_config()) is not None:
            part.with_seed_dataset(
                seed.source, sampling_strategy=seed.sampling_strategy, selection_strategy=seed.selection_strategy
            )
        names = {column.name for column in own}
        for constraint in whole.build().constraints or []:
            if constraint.target_column in names:
                part.add_constraint(constraint)
        if number == self._last:
            for processor in whole.get_processor_configs():
                part.add_processor(processor)
        if late := [name for name in dropped_here if name not in by_flag]:
            part.add_processor(DropColumnsProcessorConfig(name=_DROP, column_names=late))
        return part

    def _dropped_in(self, name: str) -> int | None:
        """The part at whose end the column is dropped; None if it stays, or if a processor of the last part does it."""
        column = self._columns[name]
        if not column.drop or name in self._dropped_by_processors():
            return None
        readers = [self._parts[other] for other in self._columns if name in self._needs(other)]
        return max([self._parts[name], *readers, *([self._last] if name in self._shown() else [])])

    def _dropped_by_processors(self) -> set[str]:
        patterns = [
            pattern
            for processor in self._builder.get_processor_configs()
            for pattern in getattr(processor, "column_names", ())
        ]
        return {name for name in self._columns for pattern in patterns if name == pattern or fnmatch(name, pattern)}

    def _refuse(self, what: str, hint: str) -> GraphError:
        return GraphError(f"the config of `{self._subject}` {what}", hint=hint)
