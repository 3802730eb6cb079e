"""The content-addressed cache: blobs by digest, action results by key, in one or two tiers."""

from __future__ import annotations

from ddbuild.cache.cache import Cache, CacheLease, CacheMissError
from ddbuild.cache.clone import clone_file
from ddbuild.cache.tier import Tier
from ddbuild.cache.work import WorkFolder

__all__ = ["Cache", "CacheLease", "CacheMissError", "Tier", "WorkFolder", "clone_file"]
