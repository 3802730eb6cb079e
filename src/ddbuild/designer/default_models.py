"""Data Designer's default models, read once and not once a builder, and written in one step.

Each `DataDesignerConfigBuilder()` without models of its own, `model_configs=[]` included, reads all of
`~/.data-designer/model_configs.yaml` again, which takes 7 ms: for a workspace of a thousand stages more than all else.

The file is written where there is none, in place: who reads it at that moment, or after the writer was killed, finds it
empty, and Data Designer does not get over that.
"""

from __future__ import annotations

import copy
import importlib.util
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import uuid4

from ddbuild.file_state import is_settled, sign

__all__ = ["read_defaults_once"]

_MODULE = "data_designer.config.default_model_settings"
_FUNCTION = "load_config_file"
_SAVE = "save_config_file"
_FILES = ("MODEL_CONFIGS_FILE_PATH", "MODEL_PROVIDERS_FILE_PATH")


def read_defaults_once() -> None:
    """Make Data Designer read the file again only where it is another one, now or once it is imported."""
    module = sys.modules.get(_MODULE)
    if module is not None:
        _improve(module)
    elif not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        finder: Any = _Finder()
        sys.meta_path.insert(0, finder)


class _Finder:
    """Waits for the one import of the module."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != _MODULE:
            return None
        finder: Any = self
        sys.meta_path.remove(finder)
        spec = importlib.util.find_spec(fullname)
        loader: Any = spec.loader if spec is not None else None
        if loader is not None:
            execute = loader.exec_module

            def execute_and_improve(module: ModuleType) -> None:
                execute(module)
                _improve(module)

            loader.exec_module = execute_and_improve
        return spec


def _improve(module: ModuleType) -> None:
    load = getattr(module, _FUNCTION, None)
    if load is not None and not isinstance(load, _Memory):
        setattr(module, _FUNCTION, _Memory(load))
        if (save := getattr(module, _SAVE, None)) is not None:
            setattr(module, _SAVE, partial(_save_at_once, save))
        for name in _FILES:
            _remove_if_empty(getattr(module, name, None))


def _save_at_once(save: Callable[[Path, Any], None], path: Path, config: Any) -> None:
    draft = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        save(draft, config)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _remove_if_empty(path: Path | None) -> None:
    """Let Data Designer write a file anew of which a former writer has left nothing but the name."""
    with suppress(OSError):
        if path is not None and path.stat().st_size == 0:
            path.unlink()


class _Memory:
    """A function that reads a file, and remembers what it read as long as the file is the same."""

    def __init__(self, load: Callable[[Path], Any]) -> None:
        self._load = load
        self._known: tuple[Any, Any] = (None, None)

    def __call__(self, path: Path) -> Any:
        """Return what the file holds, as an object that nobody else has."""
        signature = sign(str(path))
        key = (str(path), signature)
        known, content = self._known
        if known != key:
            content = self._load(path)
            if signature is not None and is_settled(signature, time.time_ns()):
                self._known = (key, content)
        return copy.deepcopy(content)
