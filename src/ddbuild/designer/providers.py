"""The providers of models and tools: what of them belongs in a key, what in the provenance, and what nowhere.

A key has a provider's name, type and extra body. Its URL belongs in the provenance, and in a key only on demand: a
gateway or a port is not a model. API keys and headers belong nowhere; `find_secrets` gathers them for the logs.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from ddbuild.designer.plain import PlainWriter
from ddbuild.digest import Digest, digest_of
from ddbuild.errors import GraphError
from ddbuild.suggestion import suggest

__all__ = [
    "describe_providers",
    "describe_tool_providers",
    "find_missing_key",
    "find_secrets",
    "load_default_providers",
    "record_providers",
    "strip_credentials",
]

_TOKEN_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACEHUB_API_TOKEN")
_SHORTEST_SECRET = 8


def load_default_providers() -> list[Any]:
    """Return the providers of `~/.data-designer/model_providers.yaml`, or Data Designer's own where there is no file.

    Raises:
        GraphError: the file is wrong.
    """
    from data_designer.config.default_model_settings import get_builtin_model_providers
    from data_designer.config.models import ModelProvider
    from data_designer.config.utils.constants import MODEL_PROVIDERS_FILE_PATH
    from data_designer.config.utils.io_helpers import load_config_file

    file = Path(MODEL_PROVIDERS_FILE_PATH)
    if not file.is_file():
        return list(get_builtin_model_providers())
    try:
        return [ModelProvider.model_validate(each) for each in load_config_file(file).get("providers") or []]
    except Exception as error:
        raise GraphError(
            "the list of model providers is wrong", facts={"file": str(file), "problem": type(error).__name__}
        ) from error


def describe_providers(
    providers: Iterable[Any], names: Sequence[str], *, key_endpoints: bool
) -> list[tuple[str, str, Digest]]:
    """Return the parts of a key for the providers called `names`.

    Raises:
        GraphError: there is no provider of a name.
    """
    writer = PlainWriter(root=None, subject="model providers")
    parts = []
    for provider in _pick(providers, names, "model provider"):
        content = [provider.name, provider.provider_type, writer.write(provider.extra_body, "extra_body")]
        if key_endpoints:
            content.append(strip_credentials(provider.endpoint))
        parts.append(("provider", provider.name, digest_of(content)))
    return parts


def describe_tool_providers(
    providers: Iterable[Any], names: Sequence[str], *, key_endpoints: bool
) -> list[tuple[str, str, Digest]]:
    """Return the parts of a key for the MCP providers called `names`; a local server is known by command and arguments.

    Raises:
        GraphError: there is no provider of a name.
    """
    parts = []
    for provider in _pick(providers, names, "MCP provider"):
        content = [provider.name, provider.provider_type]
        if provider.provider_type == "stdio":
            content += [Path(provider.command).name, *provider.args]
        elif key_endpoints:
            content.append(strip_credentials(provider.endpoint))
        parts.append(("tool_provider", provider.name, digest_of(content)))
    return parts


def record_providers(providers: Iterable[Any], names: Sequence[str]) -> list[dict[str, str]]:
    """Return name, type and URL of the providers called `names`, for the provenance.

    Raises:
        GraphError: there is no provider of a name.
    """
    return [
        {"name": each.name, "type": each.provider_type, "endpoint": strip_credentials(each.endpoint)}
        for each in _pick(providers, names, "model provider")
    ]


def find_missing_key(providers: Iterable[Any], names: Sequence[str]) -> tuple[str, str] | None:
    """Return (provider, environment variable) where a provider's API key is to come from a variable that is not set.

    Data Designer would send the variable's name as the key.
    """
    for provider in _pick(providers, names, "model provider"):
        key = provider.api_key
        if key and key.isupper() and "_" in key and key not in os.environ:
            return provider.name, key
    return None


def find_secrets(providers: Iterable[Any], tool_providers: Iterable[Any], seed: Any = None) -> frozenset[str]:
    """Return every secret that a run could write into its log."""
    named: list[str | None] = [os.environ.get(variable) for variable in _TOKEN_VARIABLES]
    for provider in providers:
        named += [provider.api_key, *(provider.extra_headers or {}).values()]
        parts = urlsplit(provider.endpoint)
        named += [parts.password, parts.query or None]
    for provider in tool_providers:
        named += [getattr(provider, "api_key", None), *(getattr(provider, "env", None) or {}).values()]
    named.append(getattr(getattr(seed, "source", None), "token", None))
    secrets = {os.environ.get(each, each) for each in named if each}
    # Shorter ones are no secrets ("EMPTY", "none"), and would tear holes into ordinary words.
    return frozenset(secret for secret in secrets if len(secret) >= _SHORTEST_SECRET)


def strip_credentials(url: str) -> str:
    """Return `url` without user, password, query and fragment."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _pick(providers: Iterable[Any], names: Sequence[str], kind: str) -> list[Any]:
    known = {provider.name: provider for provider in providers}
    for name in names:
        if name not in known:
            guess = suggest(name, known)
            raise GraphError(
                f"there is no {kind} `{name}`",
                facts={"known": ", ".join(sorted(known)) or "none"},
                hint=f"did you mean `{guess}`?" if guess else None,
            )
    return [known[name] for name in sorted(set(names))]
