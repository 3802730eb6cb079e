"""Loading a config, in whatever form it was given, as a private copy of a config builder.

A relative path in a YAML or JSON config file is resolved from the folder that the caller names, which is the
package's. Data Designer itself would take the current folder, and a build does not depend on that one. Paths in a
config written in Python are the business of that Python: Data Designer checks them when the object is made.
"""

from __future__ import annotations

import copy
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddbuild.designer.home import prepare_home
from ddbuild.designer.messages import clean, explain
from ddbuild.errors import DdbuildError, GraphError

if TYPE_CHECKING:
    from data_designer.config.config_builder import DataDesignerConfigBuilder

__all__ = ["copy_builder", "load_config"]

_LOCAL_SEEDS = ("agent_rollout", "directory", "file_contents", "local")
_EXPECTED = "a DataDesignerConfigBuilder, a DataDesignerConfig, or a function without arguments that returns one"


def load_config(config: Any, *, subject: str, folder: Path | None = None) -> DataDesignerConfigBuilder:
    """Return a builder for `config` that shares nothing with it that a run could change.

    `config` is a builder, a DataDesignerConfig, a function without arguments that returns one of them, an object
    whose `path` is a config file in YAML or JSON, or one whose `content` is what such a file would say. `subject` names
    the target in errors; relative seed paths in a config file start at `folder`, or at the file's own folder.

    Raises:
        GraphError: the config cannot be loaded, or Data Designer finds it wrong.
    """
    prepare_home()
    where = getattr(config, "path", None) if not isinstance(config, Path) else config
    if isinstance(where, Path):
        if not where.is_file():
            raise GraphError(f"`{subject}` has no config file", facts={"looked for": str(where)})
        return _guard(lambda: _load_file(where, folder or where.parent), subject, where)
    content = getattr(config, "content", None)
    if isinstance(content, Mapping):
        return _guard(lambda: _load_content(copy.deepcopy(dict(content)), folder or config.folder), subject, None)
    made = config
    if callable(config):
        made = _guard(config, subject, None)
    return _guard(lambda: _to_builder(made), subject, None)


def copy_builder(builder: DataDesignerConfigBuilder) -> DataDesignerConfigBuilder:
    """Return a deep copy of `builder`; functions, their parameters and data frames are shared.

    `DataDesignerConfigBuilder.from_config` would share the column objects as well.
    """
    shared: list[Any] = []
    used: set[str] = set()
    seed = builder.get_seed_config()
    if seed is not None:
        shared.append(getattr(seed.source, "df", None))
    for column in builder.get_column_configs():
        used.update(column.get_model_aliases())
        shared += [getattr(column, name, None) for name in ("generator_function", "generator_params")]
        shared.append(getattr(getattr(column, "validator_params", None), "validation_function", None))
    known = {id(each): each for each in shared if each is not None}
    # A builder without models of its own has all those of the home, and deep copies of them take longer than all else.
    known |= {id(model): model.model_copy() for model in builder.model_configs if model.alias not in used}
    return copy.deepcopy(builder, known)


def _guard(make: Callable[[], Any], subject: str, file: Path | None) -> Any:
    try:
        return make()
    except DdbuildError:
        raise
    except Exception as error:
        facts = {"config": str(file)} if file is not None else {}
        if place := _find_place(error):
            facts["raised at"] = place
        raise GraphError(
            f"the config of `{subject}` is wrong", facts=facts | {"problem": explain(error)}, hint=_hint(error)
        ) from error


def _to_builder(config: Any) -> DataDesignerConfigBuilder:
    # Data Designer's config package costs 0.8 s and is imported only where a config is looked at.
    from data_designer.config.config_builder import BuilderConfig, DataDesignerConfigBuilder
    from data_designer.config.data_designer_config import DataDesignerConfig

    if isinstance(config, DataDesignerConfig):
        config = DataDesignerConfigBuilder.from_config(BuilderConfig(data_designer=config))
    if not isinstance(config, DataDesignerConfigBuilder):
        raise TypeError(f"expected {_EXPECTED}, got {clean(repr(config), 80)}")
    config.build()
    return copy_builder(config)


def _load_file(file: Path, folder: Path) -> DataDesignerConfigBuilder:
    from data_designer.config.utils.io_helpers import smart_load_yaml

    return _load_content(smart_load_yaml(file), folder)


def _load_content(content: Any, folder: Path) -> DataDesignerConfigBuilder:
    from data_designer.config.config_builder import DataDesignerConfigBuilder

    body = content.get("data_designer", content)
    source = (body.get("seed_config") or {}).get("source") if isinstance(body, dict) else None
    if isinstance(source, dict) and isinstance(source.get("path"), str) and source.get("seed_type") in _LOCAL_SEEDS:
        path = Path(source["path"]).expanduser()
        source["path"] = str(path if path.is_absolute() else folder / path)
    builder = DataDesignerConfigBuilder.from_config(content)
    builder.build()
    return builder


def _find_place(error: Exception) -> str | None:
    """Return the innermost line of the user's own code that `error` passed through."""
    own = str(Path(__file__).parents[1])
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if "site-packages" not in frame.filename and not frame.filename.startswith((own, "<frozen")):
            return f"{frame.filename}:{frame.lineno}"
    return None


def _hint(error: Exception) -> str | None:
    if type(error).__name__ in ("InvalidFilePathError", "FileNotFoundError"):
        return "a relative path is taken from the package's folder in YAML, and from the current folder in Python"
    return None
