"""From a target to its chain of actions: which steps it has, and what the key of each one hashes.

A stage is up to three actions, so that an edited callback or output processor never costs the generated rows:
*generate* (the Data Designer run), *process* (output processors and the choice of the output), *callback*.
"""

from __future__ import annotations

import glob
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ddbuild.designer import (
    CellScheme,
    ConfigDescription,
    Designer,
    NotRowWise,
    count_seed_rows,
    describe,
    describe_cells,
    describe_processors,
    is_dropped,
    load_config,
    make_processors,
    package_versions,
)
from ddbuild.digest import Digest, digest_file, digest_of
from ddbuild.errors import GraphError, UnhashableError
from ddbuild.graph.graph import parents_of
from ddbuild.graph.targets import Concat, Join, SeedSpec, Source, SourceFormat, Stage, Target, Transform
from ddbuild.keys import AS_THE_SEED, Action, ActionInput, Part
from ddbuild.label import Label
from ddbuild.plan.renewals import Renewals
from ddbuild.source_digest import digest_function
from ddbuild.suggestion import suggest

__all__ = ["ActionCompiler", "KeySettings", "find_source_files", "name_parents", "seed_of"]


@dataclass(frozen=True, slots=True)
class KeySettings:
    """What a workspace's settings add to every key; `preview_rows` sets the keys of a preview apart from all others."""

    salt: str | None = None
    versions: tuple[str, ...] = ()
    key_endpoints: bool = False
    preview_rows: int | None = None


class ActionCompiler:
    """Makes the actions of targets; each config is loaded and described once.

    `overrides` are the files that stand in for the outputs of targets; `renewals` the targets that people have asked
    for anew.
    """

    def __init__(
        self,
        *,
        root: Path,
        designer: Designer,
        settings: KeySettings,
        overrides: Mapping[Label, Source] | None = None,
        renewals: Renewals | None = None,
    ) -> None:
        self._root = root
        self._designer = designer
        self._settings = settings
        self._overrides = dict(overrides or {})
        self._renewals = renewals
        self._configs: dict[Label, tuple[Any, ConfigDescription]] = {}
        self._versions: list[Part] | None = None
        self._all_versions: dict[str, str] | None = None

    def compile(self, target: Target) -> tuple[Action, ...]:
        """Return the actions of `target`, each reading what the one before it made.

        Raises:
            GraphError: the config, a source file or the seed of the target is wrong.
            UnhashableError: a function has something in it that cannot be hashed.
        """
        actions = self.compile_plain(target)
        return actions if self._renewals is None else tuple(map(self._renewals.apply, actions))

    def compile_plain(self, target: Target) -> tuple[Action, ...]:
        """Return the actions of `target` as if it had never been renewed; raises what `compile` does."""
        actions = self._compile(target)
        if self._settings.preview_rows is None:
            return actions
        part = Part("preview", "", digest_of(self._settings.preview_rows))
        return tuple(replace(action, parts=(*action.parts, part)) for action in actions)

    def _compile(self, target: Target) -> tuple[Action, ...]:
        if target.label in self._overrides:
            return (self._compile_override(self._overrides[target.label]),)
        if isinstance(target, Source):
            return (self._compile_source(target),)
        if isinstance(target, Transform):
            return (self._compile_transform(target),)
        return tuple(self._compile_stage(target))

    def source_of(self, target: Target) -> Source | None:
        """Return the files that `target` is read from: its own, or those that override it; None where it has none."""
        if target.label in self._overrides:
            return self._overrides[target.label]
        return target if isinstance(target, Source) else None

    def is_overridden(self, label: Label) -> bool:
        """Return whether files stand in for the output of `label`."""
        return label in self._overrides

    def config(self, stage: Stage) -> tuple[Any, ConfigDescription]:
        """Return a private copy of the stage's config builder and its description."""
        if stage.label not in self._configs:
            subject = str(stage.label)
            builder = load_config(stage.config, subject=subject)
            description = describe(
                builder, root=self._root, subject=subject, version=stage.version, own_seed=seed_of(stage) is None
            )
            self._configs[stage.label] = (builder, description)
        return self._configs[stage.label]

    def cells(self, stage: Stage) -> CellScheme:
        """Return which cells the stage's rows consist of.

        Raises:
            NotRowWise: its rows are not made one by one, or are not to be reused.
        """
        if stage.reuse == "off":
            raise NotRowWise('it says `reuse="off"`')
        if stage.sampling_strategy == "shuffle":
            raise NotRowWise("its seed is shuffled")
        builder, description = self.config(stage)
        own = builder.get_seed_config() if description.has_seed else None
        if own is not None and own.sampling_strategy == "shuffle":
            raise NotRowWise("its seed is shuffled")
        parts = [*self._common(stage), *self._dd_versions(), *self._run_config()]
        if stage.version is not None:
            parts.append(Part("declared_version", "", digest_of(stage.version)))
        scheme = describe_cells(
            builder,
            parts=parts,
            provider_parts=self._provider_parts,
            reuse={} if isinstance(stage.reuse, str) else stage.reuse,
            subject=str(stage.label),
            version=stage.version,
            root=self._root,
        )
        read = {name for unit in scheme.units for name in unit.reads}
        lost = [name for unit in scheme.units for name in unit.columns if is_dropped(name, scheme) and name in read]
        if lost and not self._designer.keeps_dropped_columns():
            raise NotRowWise(f"`{lost[0]}` is dropped, and `preserve_dropped_columns` is off: what it was is not kept")
        return scheme

    def processors(self, stage: Stage) -> tuple[Any, ...]:
        """Return the output processors of `stage`, as Data Designer's own."""
        return make_processors(stage.output_processors, subject=str(stage.label))

    def seed_rows(self, stage: Stage) -> int | None:
        """Return the rows of the seed that the stage's config brings along; None where it has none."""
        builder, description = self.config(stage)
        return count_seed_rows(builder, subject=str(stage.label)) if description.has_seed else None

    def versions(self) -> dict[str, str]:
        """Return the versions of Data Designer's packages and of those that the settings name."""
        if self._all_versions is None:
            self._all_versions = package_versions() | package_versions(self._settings.versions)
        return dict(self._all_versions)

    def _compile_source(self, source: Source) -> Action:
        files = find_source_files(source)
        format = source_format(source, files)
        parts = [
            Part("file", f"{position:06d}", _digest_source_file(file, format, source))
            for position, file in enumerate(files)
        ]
        parts.append(Part("format", "", digest_of(format)))
        called = {f"file {position:06d}": file.name for position, file in enumerate(files)}
        return Action(source.label, "source", (*parts, *self._common(source)), (), names=called)

    def _compile_override(self, source: Source) -> Action:
        # Not a source's parts: what was overridden says so in its provenance, also where a source has the same file.
        files = find_source_files(source)
        format = source_format(source, files)
        parts = [
            Part("override", f"{position:06d}", _digest_source_file(file, format, source))
            for position, file in enumerate(files)
        ]
        parts.append(Part("format", "", digest_of(format)))
        called = {f"override {position:06d}": file.name for position, file in enumerate(files)}
        return Action(source.label, "source", tuple(parts), (), names=called)

    def _compile_transform(self, transform: Transform) -> Action:
        parts = self._function_parts("function", transform.function, transform.label, transform.version)
        names = name_parents(transform.depends_on)
        inputs = tuple(ActionInput(f"name:{name}", label) for name, label in names.items())
        called = {"function": name_function(transform.function)}
        return Action(transform.label, "transform", (*parts, *self._common(transform)), inputs, names=called)

    def _compile_stage(self, stage: Stage) -> list[Action]:
        _, description = self.config(stage)
        actions = [self._compile_generate(stage, description)]
        if stage.output_processors or stage.output != "final":
            self._check_output(stage, description)
            parts = [Part(*part) for part in describe_processors(self.processors(stage))]
            parts.append(Part("output", "", digest_of(stage.output)))
            parts += [*self._dd_versions(), *self._run_config()]
            actions.append(Action(stage.label, "process", tuple(parts), (ActionInput("stage", None),)))
        if stage.on_success is not None:
            parts = self._callback_parts(stage, stage.on_success)
            if stage.on_success_version is not None:
                parts.append(Part("callback_version", "", digest_of(stage.on_success_version)))
            called = {"callback": name_function(stage.on_success)}
            actions.append(Action(stage.label, "callback", tuple(parts), (ActionInput("stage", None),), names=called))
        return actions

    def _compile_generate(self, stage: Stage, description: ConfigDescription) -> Action:
        seed = seed_of(stage)
        _check_reuse(stage, description)
        parts = [Part(*part) for part in description.parts]
        parts += [*self._common(stage), *self._dd_versions(), *self._run_config()]
        parts += self._provider_parts(description.providers, description.tool_providers)
        num_records: int | str | None = stage.num_records
        if seed is not None:
            parts.append(Part("sampling_strategy", "", digest_of(stage.sampling_strategy)))
            parts.append(Part("selection_strategy", "", digest_of(_plain_selection(stage.selection_strategy))))
        if seed is not None or description.has_seed:
            num_records = stage.num_records or AS_THE_SEED
        if num_records is None:
            raise GraphError(
                f"`{stage.label}` has neither `num_records` nor a seed that could give it",
                facts={"build file": str(stage.location or "a script")},
                hint="say how many rows to generate: `num_records=100`",
            )
        if stage.version is not None:
            parts.append(Part("declared_version", "", digest_of(stage.version)))
        inputs: list[ActionInput] = []
        if seed is not None:
            seed_parts, inputs = self._seed_parts(stage, seed)
            parts += seed_parts
        waited = {each.label for each in inputs}
        inputs += [ActionInput("after", label) for label in parents_of(stage) if label not in waited]
        # A shuffled seed is drawn anew each time: going on with it would take rows twice.
        grows = description.can_grow and stage.sampling_strategy == "ordered"
        return Action(stage.label, "generate", tuple(parts), tuple(inputs), num_records=num_records, grows=grows)

    def _provider_parts(self, models: Sequence[str], tools: Sequence[str]) -> list[Part]:
        endpoints = self._settings.key_endpoints
        parts = [Part(*part) for part in self._designer.provider_parts(models, endpoints)] if models else []
        if tools:
            parts += [Part(*part) for part in self._designer.tool_provider_parts(tools, endpoints)]
        return parts

    def _seed_parts(self, stage: Stage, seed: SeedSpec) -> tuple[list[Part], list[ActionInput]]:
        if isinstance(seed, Label):
            return [], [ActionInput("seed", seed)]
        if isinstance(seed, Concat):
            inputs = [ActionInput(f"concat:{position}", label) for position, label in enumerate(seed.parents)]
            return [Part("seed", "concat", digest_of(len(inputs)))], inputs
        if isinstance(seed, Join):
            inputs = [ActionInput(f"join:{position}", label) for position, label in enumerate(seed.parents)]
            return [Part("seed", "join", digest_of((seed.on, seed.how)))], inputs
        parts = self._function_parts("seed", seed, stage.label, stage.version)
        names = name_parents(stage.depends_on)
        return parts, [ActionInput(f"name:{name}", label) for name, label in names.items()]

    def _callback_parts(self, stage: Stage, callback: object) -> list[Part]:
        try:
            return self._function_parts("callback", callback, stage.label, stage.version)
        except UnhashableError:
            # A version of its own stands in for it.
            if stage.on_success_version is None:
                raise
            return []

    def _function_parts(self, part: str, function: object, label: Label, version: str | None) -> list[Part]:
        if version is not None:
            return [Part(part, "declared version", digest_of(version))]
        digest = digest_function(function, root=self._root, subject=f"{part} of {label}")
        # What a function is called changes no row, so its name is no part of the key.
        return [Part(part, "", digest.digest), *(Part(part, name, each) for name, each in digest.references.items())]

    def _common(self, target: Target) -> list[Part]:
        parts = []
        if target.salt is not None:
            parts.append(Part("salt", "target", digest_of(target.salt)))
        if self._settings.salt is not None:
            parts.append(Part("salt", "workspace", digest_of(self._settings.salt)))
        return parts + self._named_versions()

    def _named_versions(self) -> list[Part]:
        return [
            Part("version", name, digest_of(version))
            for name, version in package_versions(self._settings.versions).items()
        ]

    def _dd_versions(self) -> list[Part]:
        if self._versions is None:
            self._versions = [Part("version", name, digest_of(v)) for name, v in package_versions().items()]
        return self._versions

    def _run_config(self) -> list[Part]:
        return [Part(*part) for part in self._designer.run_config_parts()]

    def _check_output(self, stage: Stage, description: ConfigDescription) -> None:
        own = [processor.name for processor in self.processors(stage)]
        known = [*description.processor_names, *own]
        facts = {"build file": str(stage.location or "a script")}
        if duplicates := sorted({name for name in known if known.count(name) > 1}):
            raise GraphError(f"`{stage.label}` has two processors of the name `{duplicates[0]}`", facts=facts)
        name = stage.output.removeprefix("processor:")
        if stage.output != "final" and name not in known:
            raise GraphError(
                f"`{stage.label}` has no processor `{name}` for its output",
                facts=facts | {"processors": ", ".join(known) or "none"},
            )


def seed_of(stage: Stage) -> SeedSpec | None:
    """Return what seeds `stage`: what it says, or its only parent.

    Raises:
        GraphError: there are several parents and nothing says which is the seed.
    """
    if stage.seed is not None:
        return stage.seed
    if len(stage.depends_on) > 1:
        names = [f'"{label}"' for label in stage.depends_on]
        raise GraphError(
            f"`{stage.label}` has several parents, and nothing says which one is its seed",
            facts={"parents": ", ".join(names), "build file": str(stage.location or "a script")},
            hint=f"add `seed={names[0]}`, `seed=concat({', '.join(names)})` or `seed=join({', '.join(names)}, on=...)`",
        )
    return stage.depends_on[0] if stage.depends_on else None


def _check_reuse(stage: Stage, description: ConfigDescription) -> None:
    for name in () if isinstance(stage.reuse, str) else stage.reuse:
        if name not in description.column_names:
            guess = suggest(name, description.column_names)
            raise GraphError(
                f"`reuse` of `{stage.label}` speaks of the column `{name}`, which its config does not make",
                facts={"columns": ", ".join(description.column_names), "build file": str(stage.location or "a script")},
                hint=f"did you mean `{guess}`?" if guess else None,
            )


def name_parents(labels: tuple[Label, ...]) -> Mapping[str, Label]:
    """Return `labels` by the name that a function knows them by: the target's name, or the label where names meet."""
    names = [label.name for label in labels]
    return {label.name if names.count(label.name) == 1 else str(label): label for label in labels}


def find_source_files(source: Source) -> list[Path]:
    """Return the files of `source`: in the order written, those that one pattern finds sorted by name.

    Raises:
        GraphError: a file is missing, or a pattern finds none.
    """
    found: list[Path] = []
    for pattern in source.files:
        # A file may have a name that reads like a pattern.
        names = [pattern] if Path(pattern).is_file() else sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207
        matches = [Path(name) for name in names if Path(name).is_file()]
        if not matches:
            raise GraphError(
                f"`{source.label}` has no files",
                facts={"looked for": pattern, "build file": str(source.location or "a script")},
            )
        found += [match for match in matches if match not in found]
    return found


def source_format(source: Source, files: list[Path]) -> SourceFormat:
    """Return the one format of `files`.

    Raises:
        GraphError: the suffix says nothing, or the files have several.
    """
    if source.format is not None:
        return source.format
    suffixes: dict[str, SourceFormat] = {".parquet": "parquet", ".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
    formats = {suffixes.get(file.suffix.lower()) for file in files}
    if len(formats) == 1 and (only := formats.pop()) is not None:
        return only
    names = ", ".join(sorted({file.suffix or file.name for file in files}))
    raise GraphError(
        f"the format of `{source.label}` is not clear from its files",
        facts={"found": names, "build file": str(source.location or "a script")},
        hint='say `format="parquet"`, `"csv"` or `"jsonl"`',
    )


def name_function(function: object) -> str:
    """Return what people call `function`."""
    inner = getattr(function, "func", function)
    return str(getattr(inner, "__name__", type(inner).__name__))


def _digest_source_file(file: Path, format: SourceFormat, source: Source) -> Digest:
    """Return the digest of one file of `source`; what can be told to be wrong with it is told before anything runs."""
    facts = {"file": str(file), "build file": str(source.location or "a script")}
    try:
        if file.stat().st_size == 0:
            raise GraphError(f"a file of `{source.label}` is empty", facts=facts)
        if format == "parquet":
            with file.open("rb") as opened:
                if opened.read(4) != b"PAR1":
                    raise GraphError(f"a file of `{source.label}` is no parquet file", facts=facts)
        return digest_file(file)
    except OSError as error:
        facts["reason"] = error.strerror or str(error)
        raise GraphError(f"a file of `{source.label}` cannot be read", facts=facts) from error


def _plain_selection(strategy: object) -> object:
    dump = getattr(strategy, "model_dump", None)
    return dump(mode="json") if dump is not None else strategy
