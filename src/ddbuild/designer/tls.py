"""One TLS context for all requests of a process, where Data Designer makes sixteen for each model of each run.

Making one reads all certificate authorities, which takes 6 ms of CPU, and more where several stages start at once.
"""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ssl

__all__ = ["share_tls"]

_LOCK = threading.Lock()


def share_tls() -> None:
    """Make Data Designer's clients use one context, before each run; more than once does no harm."""
    import httpx

    try:
        from data_designer.engine.models.clients.adapters import httpx_sharding
    except ImportError:
        # A version that makes its clients in another way is only slower.
        return

    transport: Any = httpx_sharding.ShardedAsyncHTTPTransport
    with _LOCK:
        original = transport.__init__
        if getattr(original, "shares_tls", False):
            return

        def make(limits: httpx.Limits) -> httpx.AsyncHTTPTransport:
            return httpx.AsyncHTTPTransport(limits=limits, verify=_make_context())

        def initialize(self: Any, *, transport_factory: Any = None, **options: Any) -> None:
            original(self, transport_factory=transport_factory or make, **options)

        initialize.shares_tls = True  # type: ignore[attr-defined]
        transport.__init__ = initialize


@lru_cache(maxsize=1)
def _make_context() -> ssl.SSLContext:
    import httpx

    return httpx.create_ssl_context()
