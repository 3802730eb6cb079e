"""JSON documents as text."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["encode"]


def encode(document: dict[str, Any]) -> str:
    """Return `document` as indented JSON that ends with a line break."""
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
