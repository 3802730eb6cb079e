"""What a config means for a key: Data Designer's fingerprint of it, made neutral first, and its parts one by one.

Data Designer's own fingerprint is blind to the source of functions and to the content of seeds, and it changes with
paths, module names and models that no column uses. Here it is taken of a config without seed, profilers and unused
models, in which functions are only places; functions and seed are described beside it, by their content.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddbuild.designer.plain import PlainWriter, to_json
from ddbuild.designer.seeds import describe_seed
from ddbuild.digest import Digest, digest_file, digest_of
from ddbuild.errors import GraphError
from ddbuild.suggestion import suggest

if TYPE_CHECKING:
    from data_designer.config.config_builder import DataDesignerConfigBuilder

__all__ = [
    "ConfigDescription",
    "describe",
    "describe_people",
    "describe_processors",
    "write_column",
    "write_model",
    "write_tool",
]

Part = tuple[str, str, Digest]

_NOT_OF_A_MODEL = frozenset({"skip_health_check"})
_NOT_OF_INFERENCE = frozenset({"max_parallel_requests", "timeout"})
_NOT_OF_A_TOOL = frozenset({"timeout_sec"})
_NOT_OF_A_VALIDATOR = frozenset({"max_parallel_requests", "retry_backoff", "timeout", "validation_function"})
_FOOTER = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigDescription:
    """A config in plain data.

    `parts` are the (part, name, digest) of a key. `providers` and `tool_providers` name the providers of the models
    and tools that columns use. `requests_per_row` estimates how often models are asked for one row: once for each
    column of a model. `can_grow` is False where a finished dataset cannot be extended.
    """

    fingerprint: str
    parts: tuple[Part, ...]
    column_names: tuple[str, ...]
    processor_names: tuple[str, ...]
    model_aliases: tuple[str, ...]
    providers: tuple[str, ...]
    tool_providers: tuple[str, ...]
    requests_per_row: int
    has_seed: bool
    can_grow: bool

    @property
    def uses_models(self) -> bool:
        """Whether a model is needed to run it."""
        return bool(self.model_aliases)


def describe(
    builder: DataDesignerConfigBuilder,
    *,
    root: Path | None,
    subject: str,
    version: str | None = None,
    own_seed: bool = True,
    managed_assets: Path | None = None,
) -> ConfigDescription:
    """Return what `builder` means for a key.

    `root` is the workspace, within which functions are followed; `version` stands in for functions that cannot be
    hashed. `own_seed` False leaves the config's own seed out, for a stage that gets its seed from a parent.

    Raises:
        GraphError: a seed file is missing, or a column uses a model that the config does not define.
        UnhashableError: a function, or a parameter of one, has no content to hash.
    """
    config = builder.build()
    writer = PlainWriter(root=root, subject=subject, version=version)
    columns = [write_column(column, writer, f"column {column.name}") for column in config.columns]
    processors = [writer.write(each, f"processor {each.name}") for each in config.processors or []]
    mentioned = _find_texts(zip((*config.columns, *(config.processors or [])), columns + processors, strict=True))
    aliases = _find_aliases(config, mentioned, subject)
    models = [write_model(each, writer) for each in config.model_configs or [] if each.alias in aliases]
    tools = [
        write_tool(each, writer)
        for each in config.tool_configs or []
        if each.tool_alias in mentioned or any(each.tool_alias == _tool_of(column) for column in config.columns)
    ]
    constraints = [writer.write(each, "constraint") for each in config.constraints or []]
    fingerprint = _fingerprint(
        {
            "columns": columns,
            "model_configs": models,
            "tool_configs": tools,
            "constraints": constraints,
            "processors": processors,
        }
    )
    parts: list[Part] = [("config", "", digest_of(fingerprint))]
    parts += [("column", plain["name"], digest_of(plain)) for plain in columns]
    parts += [("model", plain["alias"], digest_of(plain)) for plain in models]
    parts += [("tool", plain["tool_alias"], digest_of(plain)) for plain in tools]
    parts += [("constraint", f"{i}", digest_of(plain)) for i, plain in enumerate(constraints)]
    parts += [("processor", plain["name"], digest_of(plain)) for plain in processors]
    parts += describe_people(config.columns, managed_assets)
    seed = config.seed_config if own_seed else None
    if seed is not None:
        parts += describe_seed(seed, writer=writer, subject=subject)
    parts += writer.functions
    parts += _describe_plugins(config, seed)
    return ConfigDescription(
        fingerprint=fingerprint,
        parts=tuple(parts),
        column_names=tuple(plain["name"] for plain in columns),
        processor_names=tuple(plain["name"] for plain in processors),
        model_aliases=tuple(plain["alias"] for plain in models),
        providers=tuple(sorted({plain["provider"] for plain in models})),
        tool_providers=tuple(sorted({name for plain in tools for name in plain["providers"]})),
        requests_per_row=sum(len(column.get_model_aliases()) for column in config.columns),
        has_seed=seed is not None,
        # More rows of a shuffled seed are drawn as if none had been drawn before.
        can_grow=not (seed is not None and seed.sampling_strategy == "shuffle")
        and not any(_runs_after_generation(each) for each in config.processors or []),
    )


def describe_processors(processors: Sequence[Any]) -> list[Part]:
    """Return the parts of a key for output processors; their order counts."""
    writer = PlainWriter(root=None, subject="output processors")
    parts = [
        ("processor", f"{position} {each.name}", digest_of(writer.write(each, f"processor {each.name}")))
        for position, each in enumerate(processors)
    ]
    return parts + writer.functions + _plugin_parts(processors)


def write_column(column: Any, writer: PlainWriter, place: str, without: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Return a column as plain data, without the fields of these names; its functions are said to be at `place`."""
    plain: dict[str, Any]
    if column.column_type == "custom":
        plain = writer.write(column, place, without=without | {"generator_function"})
        return plain | {"generator_function": writer.write(column.generator_function, place)}
    if column.column_type == "validation":
        plain = writer.write(column, place, without=without | {"validator_params"})
        params = writer.write(column.validator_params, place, without=_NOT_OF_A_VALIDATOR)
        if (function := getattr(column.validator_params, "validation_function", None)) is not None:
            params["validation_function"] = writer.write(function, place)
        return plain | {"validator_params": params}
    plain = writer.write(column, place, without=without)
    return plain


def write_model(model: Any, writer: PlainWriter) -> dict[str, Any]:
    """Return a model's config as plain data, without what changes no row."""
    place = f"model {model.alias}"
    plain: dict[str, Any] = writer.write(model, place, without=_NOT_OF_A_MODEL | {"inference_parameters"})
    inference = writer.write(model.inference_parameters, place, without=_NOT_OF_INFERENCE)
    return plain | {"inference_parameters": inference}


def write_tool(tool: Any, writer: PlainWriter) -> dict[str, Any]:
    """Return a tool's config as plain data, without what changes no row."""
    plain: dict[str, Any] = writer.write(tool, f"tool {tool.tool_alias}", without=_NOT_OF_A_TOOL)
    return plain


def _find_aliases(config: Any, mentioned: set[str], subject: str) -> set[str]:
    known = [each.alias for each in config.model_configs or []]
    used = {alias for column in config.columns for alias in column.get_model_aliases()}
    for alias in sorted(used.difference(known)):
        users = [column.name for column in config.columns if alias in column.get_model_aliases()]
        guess = suggest(alias, known)
        raise GraphError(
            f"`{subject}` uses the model `{alias}`, which its config does not define",
            facts={"columns": ", ".join(users), "defined": ", ".join(sorted(known)) or "none"},
            hint=f"did you mean `{guess}`?" if guess else None,
        )
    return used | mentioned.intersection(known)


def _find_texts(described: Iterable[tuple[Any, Any]]) -> set[str]:
    """Return every text in what plugins said: one of them may name a model in a field that we do not know."""
    texts: set[str] = set()
    open_ends = [plain for config, plain in described if not type(config).__module__.startswith("data_designer.")]
    while open_ends:
        plain = open_ends.pop()
        if isinstance(plain, str):
            texts.add(plain)
        elif isinstance(plain, dict):
            open_ends += plain.values()
        elif isinstance(plain, list):
            open_ends += plain
    return texts


def _tool_of(column: Any) -> str | None:
    return getattr(column, "tool_alias", None)


class _Neutral:
    """As much of a DataDesignerConfig as its fingerprint asks for; its columns are no longer column objects."""

    def __init__(self, plain: dict[str, Any]) -> None:
        self.columns = [None] * len(plain["columns"])
        self._plain = plain

    def to_dict(self) -> dict[str, Any]:
        return self._plain


def _fingerprint(plain: dict[str, Any]) -> str:
    from data_designer.config.fingerprint import fingerprint_config

    return str(fingerprint_config(_Neutral(to_json(plain)))["config_hash"])


def describe_people(columns: Iterable[Any], managed_assets: Path | None) -> list[Part]:
    """Return a part for each managed dataset of persons: the size and the footer of a file of gigabytes.

    The footer holds the offsets and statistics of all row groups.
    """
    from data_designer.config.utils.constants import MANAGED_ASSETS_PATH

    locales = set()
    for column in columns:
        if column.column_type == "sampler" and column.sampler_type == "person":
            locales |= {params.locale for params in (column.params, *column.conditional_params.values())}
    parts: list[Part] = []
    for locale in sorted(locales):
        file = (managed_assets or Path(MANAGED_ASSETS_PATH)) / "datasets" / f"{locale}.parquet"
        if file.is_file():
            with file.open("rb") as stream:
                size = stream.seek(0, 2)
                stream.seek(max(0, size - _FOOTER))
                parts.append(("persons", locale, digest_of([size, stream.read()])))
    return parts


def _describe_plugins(config: Any, seed: Any) -> list[Part]:
    return _plugin_parts([*config.columns, *(config.processors or []), *([seed.source] if seed else [])])


def _plugin_parts(configs: Iterable[Any]) -> list[Part]:
    used = {type(each) for each in configs if not type(each).__module__.startswith("data_designer.")}
    if not used:
        return []
    from data_designer.plugins.plugin import Plugin

    parts: dict[tuple[str, str], Digest] = {}
    for point in metadata.entry_points(group="data_designer.plugins"):
        plugin = point.load()
        if isinstance(plugin, Plugin) and plugin.config_cls in used and point.dist is not None:
            parts["version", point.dist.name] = digest_of(point.dist.version)
            for name in (plugin.impl_qualified_name, plugin.config_qualified_name):
                module = name.rsplit(".", 1)[0]
                spec = util.find_spec(module)
                # A plugin in the making keeps its version while it changes.
                if spec is not None and spec.origin and "site-packages" not in spec.origin:
                    parts["plugin", module] = digest_file(Path(spec.origin))
    return [(part, name, digest) for (part, name), digest in sorted(parts.items())]


def _runs_after_generation(processor: Any) -> bool:
    if type(processor).__module__.startswith("data_designer."):
        return False
    # The engine costs 1.5 s and is imported for plugins only.
    from data_designer.engine.processing.processors.base import Processor
    from data_designer.plugins.plugin import PluginType
    from data_designer.plugins.registry import PluginRegistry

    for plugin in PluginRegistry().get_plugins(PluginType.PROCESSOR):
        if isinstance(processor, plugin.config_cls):
            return plugin.impl_cls.process_after_generation is not Processor.process_after_generation
    return True
