"""The tiers that a workspace's settings name, for builds and for the upkeep of the cache."""

from __future__ import annotations

import os
from pathlib import Path

from ddbuild.cache import Tier
from ddbuild.cache.signing import Trust, find_private_key
from ddbuild.errors import GraphError
from ddbuild.workspace.settings import Settings

__all__ = ["open_tiers"]


def open_tiers(
    settings: Settings, *, cache: Path | str | None = None, shared_cache: Path | str | None = None
) -> tuple[Tier, Tier | None]:
    """Return the local tier and the shared one, if there is one; `cache` and `shared_cache` go before the settings.

    Raises:
        GraphError: signatures are asked for, and no key is trusted.
    """
    local = Tier(Path(cache).expanduser().resolve() if cache is not None else settings.cache.dir, "local")
    folder = shared_cache if shared_cache is not None else settings.cache.shared
    mode = settings.cache.shared_mode
    if folder is None or mode == "off":
        return local, None
    trust = None
    if settings.cache.trust == "signed":
        if not settings.cache.trusted_keys:
            raise GraphError(
                '`[cache] trust = "signed"` needs `trusted_keys`',
                hint='`ddbuild keygen` prints a key to put into `trusted_keys = ["ed25519:..."]`',
            )
        trust = Trust(settings.cache.trusted_keys, find_private_key())
    # Made absolute without a look at it: its file server may not answer, and here nothing would stop the waiting.
    place = Path(os.path.abspath(Path(folder).expanduser()))  # noqa: PTH100
    return local, Tier(place, "shared", writable=mode == "rw", trust=trust)
