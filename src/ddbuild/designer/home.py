"""The folder where Data Designer keeps its settings, `~/.data-designer`, made usable where there is no such place.

Data Designer reads the folder's name once, when it is imported, writes default settings into it when a DataDesigner
is made, and fails where it cannot. So the choice has to fall before the first import: call `prepare_home` before
anything that may import it, a build file included.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
import threading
from pathlib import Path

from ddbuild.errors import GraphError

__all__ = ["prepare_home"]

_VARIABLE = "DATA_DESIGNER_HOME"
_CONSTANTS = "data_designer.config.utils.constants"
_WRITTEN = ("model_configs.yaml", "model_providers.yaml", "managed-assets")
_LOCK = threading.Lock()


def prepare_home() -> None:
    """Make sure that Data Designer has a home it can use, or a private one that ends with the process.

    Raises:
        GraphError: the folder named by DATA_DESIGNER_HOME cannot be used, or Data Designer was imported before and
            has no usable folder.
    """
    with _LOCK:
        constants = sys.modules.get(_CONSTANTS)
        chosen = getattr(constants, _VARIABLE, None) or os.environ.get(_VARIABLE)
        if chosen is not None:
            if not _is_usable(Path(chosen)):
                raise GraphError(
                    "Data Designer cannot write its settings",
                    facts={"folder": str(chosen)},
                    hint=f"set {_VARIABLE} to a folder that you can write",
                )
            return
        try:
            home = Path.home()
        except RuntimeError:
            home = None
        if home is None or not _is_usable(home / ".data-designer"):
            private = tempfile.mkdtemp(prefix="ddbuild-home-")
            atexit.register(shutil.rmtree, private, ignore_errors=True)
            os.environ[_VARIABLE] = private
            if home is None:
                # Data Designer asks for the home folder even where the variable is set, and fails without one.
                os.environ["HOME"] = private


def _is_usable(folder: Path) -> bool:
    if folder.is_dir():
        return os.access(folder, os.W_OK | os.X_OK) or all((folder / name).exists() for name in _WRITTEN)
    for parent in (folder, *folder.parents):
        if parent.exists():
            return parent.is_dir() and os.access(parent, os.W_OK | os.X_OK)
    return False
