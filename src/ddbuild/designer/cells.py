"""Cells: which columns of a config can be made row by row, from what, and by which recipe.

A unit is a column with what it makes beside itself, or the samplers that are drawn together. Its recipe digests all
that may change its values but the values that it reads. A config that is not made row by row has no units, and the
reason is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any

from ddbuild.designer.config import copy_builder
from ddbuild.designer.describe import describe_people, write_column, write_model, write_tool
from ddbuild.designer.drawn_together import find_drawn_together
from ddbuild.designer.hidden_entry import hide_entry
from ddbuild.designer.plain import PlainWriter
from ddbuild.digest import Digest, digest_of
from ddbuild.source_digest import find_row_reads

if TYPE_CHECKING:
    from data_designer.config.config_builder import DataDesignerConfigBuilder

    from ddbuild.table import ValueKind

__all__ = ["ASSEMBLED", "CellScheme", "CellUnit", "NotRowWise", "cell_builder", "describe_cells", "is_dropped"]


ASSEMBLED = "assembled"
"""What the metadata of a dataset says that was put together, and not made in one run."""

_LABELS = frozenset({"name", "drop", "skip", "propagate_skip"})
_KINDS: Mapping[str, ValueKind] = {
    "sampler": "plain",
    "llm-text": "plain",
    "llm-code": "plain",
    "llm-structured": "json",
    "llm-judge": "json",
    "expression": "plain",
    "validation": "json",
    "embedding": "json",
    "custom": "any",
}
_NOT_OF_A_CELL = frozenset(
    {
        "buffer_size",
        "disable_early_shutdown",
        "preserve_dropped_columns",
        "shutdown_error_rate",
        "shutdown_error_window",
    }
)
"""RunConfig fields that decide which rows there are, and not what is in one."""

Part = tuple[str, str, Digest]


class NotRowWise(Exception):  # noqa: N818 - not an error: the whole stage runs
    """Rows of a config depend on one another, or on what cannot be told; the message says what is in the way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellUnit:
    """Columns that are made together, one value of each for a row.

    `columns` has the side effects too, and `kinds` what each of them may hold; `makers` only has what the config
    declares. `reads` are the columns that it reads of the seed or of other units. `requests` is how often models are
    asked for one row. A unit that is not `is_reusable` is always made anew; one that `reads_all` may look at more than
    it says.
    """

    columns: tuple[str, ...]
    makers: tuple[str, ...]
    reads: tuple[str, ...]
    recipe: str
    requests: int
    kinds: tuple[ValueKind, ...]
    is_reusable: bool
    reads_all: bool

    @property
    def name(self) -> str:
        """Its first column."""
        return self.columns[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class CellScheme:
    """The units of a config, each after those that it reads. `dropped` are names and patterns that no output has."""

    units: tuple[CellUnit, ...]
    dropped: tuple[str, ...]

    def seed_reads(self) -> frozenset[str]:
        """Return the columns of the seed that some unit reads."""
        made = {column for unit in self.units for column in unit.columns}
        return frozenset(name for unit in self.units for name in unit.reads if name not in made)


def describe_cells(
    builder: DataDesignerConfigBuilder,
    *,
    parts: Iterable[Part],
    provider_parts: Callable[[Sequence[str], Sequence[str]], Iterable[Part]],
    reuse: Mapping[str, bool],
    subject: str,
    version: str | None = None,
    root: Any = None,
) -> CellScheme:
    """Return the units of `builder`.

    Args:
        builder: A config whose description is known to succeed.
        parts: The parts of a key that count for every cell: versions, salts, settings of runs.
        provider_parts: Gives the parts for the named providers of models, and of tools.
        reuse: Columns of which a person has said that they are made row by row (True), or never kept (False).
        subject: What messages call the config.
        version: Stands in for functions that cannot be hashed.
        root: The workspace.

    Raises:
        NotRowWise: rows are not made one by one.
    """
    return _Describer(builder, list(parts), provider_parts, reuse, subject, version, root).describe()


def cell_builder(
    builder: DataDesignerConfigBuilder, makers: Iterable[str], *, hidden: str
) -> DataDesignerConfigBuilder:
    """Return a config that makes the columns `makers` of `builder`, all else coming with a seed; nothing is dropped.

    Functions that may look at all of their row do not see the column `hidden` of the seed.
    """
    from data_designer.config.config_builder import DataDesignerConfigBuilder

    whole = copy_builder(builder)
    wanted = set(makers)
    part = DataDesignerConfigBuilder(model_configs=whole.model_configs, tool_configs=whole.tool_configs)
    for column in whole.get_column_configs():
        if column.name in wanted:
            column.drop = False
            if column.column_type == "custom" and _find_reads(column) is None:
                column.generator_function = hide_entry(column.generator_function, hidden)
            part.add_column(column)
    for constraint in whole.build().constraints or []:
        if constraint.target_column in wanted:
            part.add_constraint(constraint)
    return part


def is_dropped(name: str, scheme: CellScheme) -> bool:
    """Return whether the output has no column `name`."""
    return any(name == pattern or ("*" in pattern and fnmatch(name, pattern)) for pattern in scheme.dropped)


def _find_reads(column: Any) -> frozenset[str] | None:
    function = column.generator_function
    # Data Designer's own wrapper hands on what it gets; one of somebody else may read more.
    if getattr(function, "__globals__", {}).get("__name__") == "data_designer.config.custom_column":
        function = function.__wrapped__
    return find_row_reads(function)


class _Describer:
    def __init__(
        self,
        builder: DataDesignerConfigBuilder,
        parts: list[Part],
        provider_parts: Callable[[Sequence[str], Sequence[str]], Iterable[Part]],
        reuse: Mapping[str, bool],
        subject: str,
        version: str | None,
        root: Any,
    ) -> None:
        self._builder = builder
        self._config = builder.build()
        self._base = sorted(
            tuple(part) for part in parts if not (part[0] == "run_config" and part[1] in _NOT_OF_A_CELL)
        )
        self._provider_parts = provider_parts
        self._reuse = reuse
        self._subject = subject
        self._version = version
        self._root = root
        self._columns: dict[str, Any] = {column.name: column for column in builder.get_column_configs()}

    def describe(self) -> CellScheme:
        """Put the units together, each after those that it reads."""
        self._check_processors()
        for column in self._columns.values():
            self._check(column)
        self._check_undeclared()
        groups = [tuple(group) for group in self._group()]
        maker = {name: group for group in groups for each in group for name in self._made_by(each)}
        reads = {group: self._read_by(group) for group in groups}
        units: dict[tuple[str, ...], CellUnit] = {}
        while len(units) < len(groups):
            ready = [
                group
                for group in groups
                if group not in units and all(maker[name] in units for name in reads[group] if name in maker)
            ]
            if not ready:
                raise NotRowWise("its columns read each other")
            for group in ready:
                units[group] = self._make_unit(group, reads[group], {name: units.get(maker[name]) for name in maker})
        return CellScheme(units=tuple(units.values()), dropped=tuple(self._list_dropped()))

    # What is in the way

    def _check_processors(self) -> None:
        for processor in self._config.processors or []:
            if getattr(processor, "processor_type", None) != "drop_columns":
                raise NotRowWise(f"the processor `{processor.name}` sees its rows together")

    def _check(self, column: Any) -> None:
        if column.skip is not None:
            raise NotRowWise(f"`{column.name}` may be skipped, and what was skipped cannot be seen in a kept row")
        if column.column_type == "image":
            raise NotRowWise(f"`{column.name}` makes images")
        if column.column_type not in _KINDS or not type(column).__module__.startswith("data_designer."):
            raise NotRowWise(f"`{column.name}` is a plugin's column, which may see its rows together")
        if column.column_type == "custom" and column.generation_strategy == "full_column":
            raise NotRowWise(f"the function of `{column.name}` sees its rows together")
        if self._reuse.get(column.name):
            return
        say = f'; if it does no harm, say `reuse={{"{column.name}": True}}`'
        if getattr(column, "tool_alias", None):
            raise NotRowWise(f"`{column.name}` uses tools, which may have effects of their own{say}")
        if column.column_type == "validation" and column.validator_type == "local_callable":
            raise NotRowWise(f"the validator of `{column.name}` sees several rows at once{say}")
        if column.column_type == "custom" and _find_reads(column) is None:
            raise NotRowWise(f"what the function of `{column.name}` reads of a row cannot be told{say}")

    def _check_undeclared(self) -> None:
        """Refuse functions that read what they do not ask for: whether it is there is a matter of chance."""
        for column in self._columns.values():
            if column.column_type != "custom" or self._reuse.get(column.name):
                continue
            there = self._find_upstream(column.name)
            # A seed's columns are there together, and so are all samplers.
            sorts = {self._sort_of(name) for name in there}
            for name in sorted((_find_reads(column) or frozenset()) - {*self._made_by(column.name)}):
                if name not in there and (self._sort_of(name) == "made" or self._sort_of(name) not in sorts):
                    raise NotRowWise(
                        f"the function of `{column.name}` reads `{name}`, which is not among its `required_columns`, "
                        "so that it may or may not be there"
                    )

    def _find_upstream(self, name: str) -> set[str]:
        """Return all that is made before the column `name`, by what the columns declare."""
        makers = {each: maker for maker in self._columns for each in self._made_by(maker)}
        found: set[str] = set()
        stack = [name]
        while stack:
            for each in self._columns[stack.pop()].required_columns:
                if each not in found:
                    maker = makers.get(each)
                    found |= {each} if maker is None else {each, *self._made_by(maker)}
                    stack += [maker] if maker is not None else []
        return found

    def _sort_of(self, name: str) -> str:
        makers = [maker for maker in self._columns if name in self._made_by(maker)]
        if not makers:
            return "seed"
        return "sampler" if self._columns[makers[0]].column_type == "sampler" else "made"

    # What is made together, and read

    def _group(self) -> list[list[str]]:
        """Return the names of the columns, those that are drawn together in one list."""
        group = {name: [name] for name in self._columns}
        for one, other in find_drawn_together(self._builder):
            if one in group and other not in group:
                raise NotRowWise(f"`{one}` is drawn by `{other}`, which is no column of the config")
            if one in group and group[one] is not group[other]:
                merged = group[one] + group[other]
                for name in merged:
                    group[name] = merged
        order = list(self._columns)
        seen: dict[int, list[str]] = {id(each): sorted(each, key=order.index) for each in group.values()}
        return sorted(seen.values(), key=lambda names: order.index(names[0]))

    def _made_by(self, name: str) -> list[str]:
        return [name, *self._columns[name].side_effect_columns]

    def _kinds_of(self, name: str) -> Iterator[tuple[str, ValueKind]]:
        column = self._columns[name]
        yield name, _KINDS[column.column_type]
        for each in column.side_effect_columns:
            yield each, "any" if column.column_type == "custom" else "json"

    def _read_by(self, group: Iterable[str]) -> tuple[str, ...]:
        own = {name for each in group for name in self._made_by(each)}
        names: set[str] = set()
        for each in group:
            column = self._columns[each]
            names.update(column.required_columns)
            if column.column_type == "custom":
                names.update(_find_reads(column) or ())
        return tuple(sorted(names - own))

    # Recipes

    def _make_unit(
        self, group: tuple[str, ...], reads: tuple[str, ...], units: Mapping[str, CellUnit | None]
    ) -> CellUnit:
        columns = [self._columns[name] for name in group]
        writer = PlainWriter(root=self._root, subject=self._subject, version=self._version)
        plain = [write_column(column, writer, "column", _LABELS) for column in columns]
        aliases = {alias for column in columns for alias in column.get_model_aliases()}
        models = [each for each in self._config.model_configs or [] if each.alias in aliases]
        wanted = {getattr(column, "tool_alias", None) for column in columns}
        tools = [each for each in self._config.tool_configs or [] if each.tool_alias in wanted]
        written = [write_tool(each, writer) for each in tools]
        read = []
        for name in reads:
            unit = units.get(name)
            read.append((name, unit.recipe if unit else "", unit.columns.index(name) if unit else 0))
        constraints = [
            writer.write(each, "constraint") for each in self._config.constraints or [] if each.target_column in group
        ]
        recipe = digest_of(
            (
                "cell",
                self._base,
                plain,
                constraints,
                [write_model(each, writer) for each in models],
                written,
                sorted(
                    tuple(part)
                    for part in self._provider_parts(
                        sorted({each.provider for each in models}),
                        sorted({name for tool in written for name in tool["providers"]}),
                    )
                ),
                describe_people(columns, None),
                [(place, digest) for _, place, digest in writer.functions],
                read,
            )
        )
        kinds = {name: kind for each in group for name, kind in self._kinds_of(each)}
        return CellUnit(
            columns=tuple(kinds),
            kinds=tuple(kinds.values()),
            makers=group,
            reads=reads,
            recipe=recipe.removeprefix("xxh3_128:"),
            requests=sum(len(column.get_model_aliases()) for column in columns),
            is_reusable=all(self._reuse.get(name, True) for name in group),
            reads_all=any(c.column_type == "custom" and _find_reads(c) is None for c in columns),
        )

    def _list_dropped(self) -> Iterator[str]:
        for column in self._columns.values():
            if column.drop:
                yield column.name
        for processor in self._config.processors or []:
            yield from processor.column_names
