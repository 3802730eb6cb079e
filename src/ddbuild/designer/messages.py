"""Data Designer's words made fit for ours: without emoji and frames, in one line, short, without secrets."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

__all__ = ["clean", "explain", "find_solution", "is_provider_error", "redact", "root_cause"]

_EMOJI = re.compile("[\U0001f000-\U0001faff\u2300-\u23ff\u2600-\u27bf\u2b00-\u2bff\u25b6\u25c0\ufe0f\u200d]+ ?")
_FRAME = re.compile(r"^\s*\|(-{3,})?\s?", re.MULTILINE)
_CAUSE = re.compile(r"Cause: (.*?)(?: Solution: (.*))?$")
_PROVIDER_MESSAGE = re.compile(r"Provider message: (.*?) Cause: ")
_SECRET = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{16,}|sk-[A-Za-z0-9_-]{12,}|nvapi-[A-Za-z0-9_-]{12,})|(?<=Bearer )[A-Za-z0-9._~+/=-]{8,}"
)
_HIDDEN = "***"

_PROVIDER_ERRORS = frozenset(
    {
        "ModelAPIConnectionError",
        "ModelAPIError",
        "ModelAuthenticationError",
        "ModelInternalServerError",
        "ModelNotFoundError",
        "ModelPermissionDeniedError",
        "ModelQuotaExceededError",
        "ModelRateLimitError",
        "ModelRequestAdmissionTimeoutError",
        "ModelTimeoutError",
    }
)


def clean(text: object, limit: int = 300) -> str:
    """Return `text` as one line of at most `limit` characters, without emoji and without the frames around errors."""
    plain = " ".join(_EMOJI.sub("", _FRAME.sub("", str(text))).split())
    return plain if len(plain) <= limit else plain[: limit - 3].rstrip() + "..."


def explain(error: BaseException, limit: int = 300) -> str:
    """Return what went wrong in `error`, the kind of error first where its text does not say enough."""
    validation = getattr(error, "errors", None)
    if type(error).__name__ == "ValidationError" and callable(validation):
        return clean("; ".join(_explain_field(each) for each in validation()[:3]), limit)
    text = clean(error, 4 * limit)
    if match := _CAUSE.search(text):
        message = _PROVIDER_MESSAGE.search(text)
        text = match[1] + (f" (the provider says: {message[1]})" if message else "")
    if not text:
        return type(error).__name__
    own_words = type(error).__module__.startswith("data_designer.") or text.startswith(type(error).__name__)
    return clean(text if own_words else f"{type(error).__name__}: {text}", limit)


def find_solution(error: BaseException) -> str | None:
    """Return what Data Designer says can be done about `error`, if it says anything."""
    match = _CAUSE.search(clean(error, 2000))
    return match[2].rstrip(". ") if match and match[2] else None


def root_cause(error: BaseException) -> BaseException:
    """Return the error that `error` was raised from, as far back as the chain of explicit causes goes."""
    seen = {id(error)}
    while error.__cause__ is not None and id(error.__cause__) not in seen:
        error = error.__cause__
        seen.add(id(error))
    return error


def is_provider_error(error: BaseException | None) -> bool:
    """Return whether a model's provider is the cause of `error`: unreachable, overloaded, out of quota, no access."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if type(error).__name__ in _PROVIDER_ERRORS:
            return True
        error = error.__cause__ or error.__context__
    return False


def redact(text: str, secrets: Iterable[str]) -> str:
    """Return `text` without the `secrets` in it, and without whatever looks like a well-known kind of token."""
    for secret in secrets:
        text = text.replace(secret, _HIDDEN)
    return _SECRET.sub(_HIDDEN, text)


def _explain_field(error: dict[str, Any]) -> str:
    where = ".".join(str(part) for part in error["loc"])
    return f"{where}: {error['msg']}" if where else str(error["msg"])
