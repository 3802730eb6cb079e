"""Make targets from what a build file says of them: both kinds of build file come through here."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast, get_args

from ddbuild.graph.targets import Concat, Join, JoinKind, SeedSpec, Source, Stage, Transform
from ddbuild.label import Label
from ddbuild.workspace.build_file import BuildFile
from ddbuild.workspace.fields import Fields, check_name, read_label
from ddbuild.workspace.references import read_config, read_function
from ddbuild.workspace.wording import describe_value

__all__ = [
    "FIELDS",
    "make_concat",
    "make_join",
    "make_source",
    "make_stage",
    "make_transform",
]

FIELDS: Mapping[str, tuple[str, ...]] = {
    "stage": (
        "config",
        "num_records",
        "depends_on",
        "seed",
        "sampling_strategy",
        "selection_strategy",
        "on_success",
        "on_success_version",
        "output",
        "output_processors",
        "allow_empty",
        "min_yield",
        "reuse",
        "version",
        "salt",
    ),
    "source": ("files", "format", "salt"),
    "transform": ("function", "depends_on", "allow_empty", "version", "salt"),
}
"""The fields of each kind of target."""

_BY_NAME = "`{parent's name: parquet file}`"
_SELECTIONS = ({"start", "end"}, {"index", "num_partitions"})


def make_stage(name: object, fields: Fields, build_file: BuildFile) -> Stage:
    """Return the stage that `fields` describe.

    Raises:
        GraphError: a field is unknown or has a value that it cannot have.
    """
    name = check_name("stage", name, fields)
    fields.check_known(FIELDS["stage"], "stage")
    config = read_config(fields, build_file)
    depends_on = fields.labels("depends_on", build_file.package)
    seed = _read_seed(fields, build_file)
    named = (seed,) if isinstance(seed, Label) else seed.parents if isinstance(seed, (Concat, Join)) else ()
    depends_on = tuple(dict.fromkeys((*depends_on, *named)))
    if seed is None and len(depends_on) > 1:
        first = _write(depends_on[0], build_file)
        raise fields.error(
            f"{fields.subject} has {len(depends_on)} parents and no `seed`, which says what becomes its seed rows",
            "depends_on",
            f"write {fields.example('seed', chr(34) + first + chr(34))}, or a `concat`, a `join` or a function of them",
        )
    if seed is not None and not isinstance(seed, (Label, Concat, Join)):
        if not depends_on:
            hint = "name in `depends_on` what the function reads"
            raise fields.error(f"`seed` of {fields.subject} is a function, and there are no parents", "seed", hint)
        _check_names_differ(depends_on, fields)
    min_yield = fields.share("min_yield")
    strategy = fields.choice("sampling_strategy", ("ordered", "shuffle"), "ordered")
    return Stage(
        label=Label(build_file.package, name),
        config=config,
        num_records=fields.count("num_records"),
        depends_on=depends_on,
        seed=seed,
        sampling_strategy=cast(Literal["ordered", "shuffle"], strategy),
        selection_strategy=_read_selection(fields),
        on_success=read_function("on_success", "the stage's folder", fields, build_file),
        on_success_version=fields.text("on_success_version"),
        output=_read_output(fields),
        output_processors=_read_processors(fields),
        allow_empty=fields.flag("allow_empty"),
        min_yield=build_file.min_yield if min_yield is None else min_yield,
        reuse=_read_reuse(fields),
        version=fields.text("version"),
        salt=fields.text("salt"),
        location=fields.where(None),
    )


def _read_reuse(fields: Fields) -> Literal["auto", "off"] | Mapping[str, bool]:
    value = fields.values.get("reuse", "auto")
    if value in ("auto", "off"):
        return cast(Literal["auto", "off"], value)
    if value is False and fields.syntax == "yaml":
        # What YAML makes of a plain `off`.
        return "off"
    if isinstance(value, Mapping) and all(isinstance(k, str) and isinstance(v, bool) for k, v in value.items()):
        return dict(value)
    raise fields.wrong("reuse", '"auto", "off", or true or false for columns', value)


def make_source(name: object, fields: Fields, build_file: BuildFile) -> Source:
    """Return the source that `fields` describe; its `files` are absolute and all of them patterns for `glob`.

    Raises:
        GraphError: a field is unknown or has a value that it cannot have.
    """
    name = check_name("source", name, fields)
    fields.check_known(FIELDS["source"], "source")
    value = fields.values.get("files")
    expected = "a path, a pattern or a list of them"
    if value is None:
        raise fields.error(f"{fields.subject} has no `files`", "files", f"`files` is {expected}")
    entries = list(value) if isinstance(value, (list, tuple)) else [value]
    if not entries:
        raise fields.wrong("files", expected, value)
    files: list[str] = []
    for entry in entries:
        text = os.fspath(entry) if isinstance(entry, (str, os.PathLike)) else None
        if not isinstance(text, str) or not text:
            raise fields.wrong("files", expected, entry)
        if "://" in text:
            message = f"`files` of {fields.subject} has `{text}`, and sources are read from local files"
            raise fields.error(message, "files")
        if Path(text).is_absolute():
            files.append(text)
        else:
            # A workspace may itself lie in a folder named like a pattern, `data[old]`.
            files.append(os.path.normpath(Path(glob.escape(str(build_file.folder)), text)))
    file_format = fields.choice("format", ("parquet", "csv", "jsonl"))
    return Source(
        label=Label(build_file.package, name),
        files=tuple(files),
        format=cast(Literal["parquet", "csv", "jsonl"] | None, file_format),
        salt=fields.text("salt"),
        location=fields.where(None),
    )


def make_transform(name: object, fields: Fields, build_file: BuildFile) -> Transform:
    """Return the transform that `fields` describe.

    Raises:
        GraphError: a field is unknown or has a value that it cannot have.
    """
    name = check_name("transform", name, fields)
    fields.check_known(FIELDS["transform"], "transform")
    function = read_function("function", _BY_NAME, fields, build_file)
    if function is None:
        raise fields.error(f"{fields.subject} has no `function`", "function")
    depends_on = fields.labels("depends_on", build_file.package)
    _check_names_differ(depends_on, fields)
    return Transform(
        label=Label(build_file.package, name),
        function=function,
        depends_on=depends_on,
        allow_empty=fields.flag("allow_empty"),
        version=fields.text("version"),
        salt=fields.text("salt"),
        location=fields.where(None),
    )


def make_concat(parents: Sequence[object], package: str, fields: Fields) -> Concat:
    """Return a seed of the rows of `parents`, one parent after the other.

    Raises:
        GraphError: there are fewer than two, or one is no label.
    """
    return Concat(_read_parents("concat", parents, package, fields))


def make_join(parents: Sequence[object], package: str, fields: Fields) -> Join:
    """Return a seed of `parents` joined on the columns of the field `on`.

    Raises:
        GraphError: there are fewer than two parents, one is no label, or `on` and `how` do not fit.
    """
    labels = _read_parents("join", parents, package, fields)
    how = cast(JoinKind, fields.choice("how", get_args(JoinKind), "inner"))
    value = fields.values.get("on")
    columns = [value] if isinstance(value, str) else value
    if how == "cross":
        if value is not None:
            raise fields.error(f"`on` of {fields.subject} has no meaning for a `cross` join", "on")
        return Join(labels, (), how)
    if value is None:
        raise fields.error(f"{fields.subject} has no `on`", "on", "name the columns that both sides share")
    if not isinstance(columns, (list, tuple)) or not columns or not all(isinstance(c, str) and c for c in columns):
        raise fields.wrong("on", "the name of a column, or a list of names", value)
    return Join(labels, tuple(dict.fromkeys(columns)), how)


def _read_parents(kind: str, parents: Sequence[object], package: str, fields: Fields) -> tuple[Label, ...]:
    labels = tuple(read_label(parent, package, kind, fields) for parent in parents)
    if len(labels) < 2:
        raise fields.error(f"`{kind}` of {fields.subject} needs at least two parents, got {len(labels)}", kind)
    return labels


def _read_seed(fields: Fields, build_file: BuildFile) -> SeedSpec | None:
    value = fields.values.get("seed")
    if value is None or isinstance(value, (Label, Concat, Join)):
        return value
    if isinstance(value, Mapping):
        return _read_seed_mapping(value, fields, build_file)
    if isinstance(value, str) and ".py" not in value:
        return read_label(value, build_file.package, "seed", fields)
    if not isinstance(value, str) and not callable(value):
        raise fields.wrong("seed", "a label, a `concat`, a `join` or a function", value)
    return cast(Callable[[Mapping[str, Path]], Any], read_function("seed", _BY_NAME, fields, build_file))


def _read_seed_mapping(value: Mapping[str, Any], fields: Fields, build_file: BuildFile) -> SeedSpec:
    kinds = [kind for kind in ("concat", "join") if kind in value]
    if len(kinds) != 1:
        raise fields.error(f"`seed` of {fields.subject} must have either `concat` or `join`", "seed")
    kind = kinds[0]
    where = fields.where("seed")
    inner = Fields(f"`seed` of {fields.subject}", value, lambda field: where, fields.syntax)
    inner.check_known(("concat",) if kind == "concat" else ("join", "on", "how"), kind)
    parents = inner.listing(kind, "a list of labels")
    make = make_concat if kind == "concat" else make_join
    return make(parents, build_file.package, inner)


def _read_selection(fields: Fields) -> Any:
    """Return an IndexRange, a PartitionBlock, or a mapping with the fields of one of them."""
    value = fields.values.get("selection_strategy")
    if value is None or type(value).__name__ in ("IndexRange", "PartitionBlock"):
        return value
    if not isinstance(value, Mapping) or set(value) not in _SELECTIONS:
        raise fields.wrong("selection_strategy", "`{start, end}` or `{index, num_partitions}`", value)
    for key, number in value.items():
        if not isinstance(number, int) or isinstance(number, bool) or number < 0:
            message = f"`{key}` in `selection_strategy` of {fields.subject} must be a whole number of at least 0"
            raise fields.error(f"{message}, got {describe_value(number)}", "selection_strategy")
    if "end" in value and value["start"] > value["end"]:
        message = f"ends at {value['end']}, before its start at {value['start']}"
    elif "index" in value and value["index"] >= value["num_partitions"]:
        message = f"has the index {value['index']}, and {value['num_partitions']} partitions, counted from 0"
    else:
        return dict(value)
    raise fields.error(f"`selection_strategy` of {fields.subject} {message}", "selection_strategy")


def _read_output(fields: Fields) -> str:
    value = fields.values.get("output", "final")
    if value == "final" or (isinstance(value, str) and value.removeprefix("processor:") not in ("", value)):
        return str(value)
    raise fields.wrong("output", '"final" or "processor:<name>"', value)


def _read_processors(fields: Fields) -> tuple[Any, ...]:
    processors = fields.listing("output_processors", "a list of processors")
    for processor in processors:
        if isinstance(processor, Mapping):
            for key in ("processor_type", "name"):
                if not isinstance(processor.get(key), str):
                    message = f"a processor in `output_processors` of {fields.subject} has no `{key}`"
                    raise fields.error(message, "output_processors")
        elif not any(base.__name__ == "ProcessorConfig" for base in type(processor).__mro__):
            message = f"`output_processors` of {fields.subject} must hold Data Designer's processor configs"
            raise fields.error(f"{message}, got {describe_value(processor)}", "output_processors")
    return tuple(processors)


def _check_names_differ(parents: Sequence[Label], fields: Fields) -> None:
    """Refuse two parents that a function could not tell apart in what it is given."""
    seen: dict[str, Label] = {}
    for parent in parents:
        other = seen.setdefault(parent.name, parent)
        if other is not parent:
            message = f"{fields.subject} has two parents named `{parent.name}`: `{other}` and `{parent}`"
            hint = "its function gets parents by their names; rename one, or put a stage or a transform between"
            raise fields.error(message, "depends_on", hint)


def _write(label: Label, build_file: BuildFile) -> str:
    return f":{label.name}" if label.package == build_file.package else str(label)
