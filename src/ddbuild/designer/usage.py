"""What runs ask of models: each answered request is counted for the run in whose context it was made.

Requests that fail, and Data Designer's health checks, are not counted: it does not publish them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from ddbuild.designer.active import current_run

__all__ = ["CountedUsage"]


class CountedUsage:
    """A context in which requests are counted; contexts may overlap, and one subscription serves them all."""

    _lock = threading.Lock()
    _depth = 0
    _unsubscribe: Callable[[], None] | None = None

    def __enter__(self) -> CountedUsage:
        from data_designer.engine.models.usage_events import subscribe_token_usage

        cls = CountedUsage
        with cls._lock:
            if cls._depth == 0:
                cls._unsubscribe = subscribe_token_usage(_count)
            cls._depth += 1
        return self

    def __exit__(self, *_: object) -> None:
        cls = CountedUsage
        with cls._lock:
            cls._depth -= 1
            if cls._depth == 0 and cls._unsubscribe is not None:
                cls._unsubscribe()
                cls._unsubscribe = None


def _count(event: Any) -> None:
    run = current_run.get()
    if run is not None:
        run.add_request(event.input_tokens, event.output_tokens)
