"""The workspace's settings: flags over environment over `ddbuild.toml` over defaults.

Owns which settings exist, what they may hold and where each came from. It does not know Data Designer: the fields of a
RunConfig in `[designer]` are passed on as they are written.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ddbuild.cache.signing import PUBLIC_KEY
from ddbuild.errors import GraphError, Location
from ddbuild.suggestion import suggest
from ddbuild.workspace.locate import SETTINGS_FILE
from ddbuild.workspace.reads import Reads
from ddbuild.workspace.wording import describe_value, list_words

__all__ = ["BuildSettings", "CacheSettings", "DesignerSettings", "Settings"]

Model = TypeVar("Model", bound=BaseModel)

_RULES = ConfigDict(extra="forbid", frozen=True, strict=True)


class CacheSettings(BaseModel):
    """Where results are kept; `shared` None is a workspace without a shared tier.

    With `trust` "signed" only results that one of `trusted_keys` has signed are taken from the shared tier.
    """

    model_config = _RULES

    dir: Annotated[Path, Field(description="a path")]
    shared: Annotated[Path | None, Field(description="a path")] = None
    shared_mode: Annotated[Literal["rw", "ro", "off"], Field(description='"rw", "ro" or "off"')] = "rw"
    trust: Annotated[Literal["folder", "signed"], Field(description='"folder" or "signed"')] = "folder"
    trusted_keys: Annotated[
        tuple[Annotated[str, Field(pattern=PUBLIC_KEY)], ...],
        Field(description='a list of public keys as `ddbuild keygen` prints them, "ed25519:..."'),
    ] = ()


class BuildSettings(BaseModel):
    """How builds run; `min_yield` is the default of stages that say nothing, `salt` goes into every key.

    Without `reuse` a stage that has to run asks for all its cells.
    """

    model_config = _RULES

    jobs: Annotated[int, Field(ge=1, description="a whole number of at least 1")] = 8
    keep_going: Annotated[bool, Field(description="true or false")] = False
    versions: Annotated[tuple[str, ...], Field(description="a list of package names")] = ()
    key_endpoints: Annotated[bool, Field(description="true or false")] = False
    salt: Annotated[str | None, Field(description="a text")] = None
    min_yield: Annotated[float, Field(ge=0, le=1, description="a number from 0 to 1")] = 0.9
    reuse: bool = True


class DesignerSettings(BaseModel):
    """The one DataDesigner of a build: made by `factory`, or plain with the RunConfig fields of `run_config`."""

    model_config = _RULES

    factory: Annotated[
        str | None, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$", description='"module:function"')
    ] = None
    run_config: dict[str, Any] = {}


class Settings(BaseModel):
    """All settings of one workspace, with what was read to find them."""

    model_config = _RULES

    root: Path
    cache: CacheSettings
    build: BuildSettings
    designer: DesignerSettings
    read_files: tuple[Path, ...] = ()
    read_environment: tuple[str, ...] = ()

    @classmethod
    def load(
        cls,
        root: Path,
        overrides: Mapping[str, Any] | None = None,
        environ: Mapping[str, str] | None = None,
        reads: Reads | None = None,
    ) -> Self:
        """Return the settings of the workspace `root`; one without a `ddbuild.toml` has the defaults.

        Paths in the file are relative to the workspace, those of flags and variables to the current folder.

        Args:
            root: The workspace's folder.
            overrides: Flags by dotted name, `{"build.jobs": 4}`; None is a flag that was not given.
            environ: The environment, `os.environ` where left out.
            reads: Takes a note of each file and variable that was read.

        Raises:
            GraphError: A setting is unknown or has a value that it cannot have.
        """
        reads = Reads() if reads is None else reads
        environ = os.environ if environ is None else environ
        root = root.resolve()
        file = _SettingsFile.read(root / SETTINGS_FILE, reads)
        values: dict[str, dict[str, Any]] = {name: dict(entries) for name, entries in file.sections.items()}
        origins: dict[tuple[str, str], _Origin] = {
            (section, key): _Origin(f"[{section}] {key}", {"file": str(file.find(section, key))})
            for section, entries in values.items()
            for key in entries
        }
        for (section, key), base in zip(_PATHS, (root, root), strict=True):
            if isinstance(text := values[section].get(key), str):
                values[section][key] = _absolute(text, base, environ)

        looked_up: list[str] = []

        def look_up(name: str) -> str | None:
            looked_up.append(name)
            value = environ.get(name)
            reads.add_variable(name, value)
            return value or None

        for name, place in _VARIABLES.items():
            if (text := look_up(name)) is not None:
                values[place[0]][place[1]] = _from_text(text, place, environ)
                origins[place] = _Origin(name, {"environment": f"{name}={text}"})
        for name, value in (overrides or {}).items():
            section, _, key = name.partition(".")
            if key not in _KNOWN.get(section, ()):
                raise _unknown(f"`{name}` is not a setting", name, _dotted_names())
            if value is not None:
                place = (section, key)
                values[section][key] = _absolute(str(value), Path.cwd(), environ) if place in _PATHS else value
                origins[place] = _Origin(name, {"flag": f"{name}={value}"})
        if "dir" not in values["cache"]:
            with reads.recording():
                values["cache"]["dir"] = _default_cache(root, look_up)

        designer = values["designer"]
        designer = {
            **({"factory": designer.pop("factory")} if "factory" in designer else {}),
            "run_config": designer,
        }
        return cls(
            root=root,
            cache=_validate(CacheSettings, "cache", values["cache"], origins),
            build=_validate(BuildSettings, "build", values["build"], origins),
            designer=_validate(DesignerSettings, "designer", designer, origins),
            read_files=file.read_files,
            read_environment=tuple(looked_up),
        )


_KNOWN: dict[str, tuple[str, ...]] = {
    "cache": tuple(CacheSettings.model_fields),
    "build": tuple(BuildSettings.model_fields),
    "designer": ("factory",),
}
_PATHS = (("cache", "dir"), ("cache", "shared"))
_VARIABLES = {
    "DDBUILD_CACHE_DIR": ("cache", "dir"),
    "DDBUILD_SHARED_CACHE": ("cache", "shared"),
    "DDBUILD_SHARED_MODE": ("cache", "shared_mode"),
    "DDBUILD_JOBS": ("build", "jobs"),
}


@dataclass(frozen=True, slots=True)
class _Origin:
    subject: str
    facts: dict[str, str]


@dataclass(frozen=True, slots=True)
class _SettingsFile:
    sections: Mapping[str, Mapping[str, Any]]
    text: str
    read_files: tuple[Path, ...]

    @classmethod
    def read(cls, path: Path, reads: Reads) -> Self:
        """Return the file's known sections; a file that is not there has none."""
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return cls({name: {} for name in _KNOWN}, "", ())
        except OSError as error:
            raise GraphError(f"`{SETTINGS_FILE}` cannot be read: {error.strerror}", facts={"file": str(path)}) from None
        reads.add_file(path, content)
        try:
            text = content.decode()
            document = tomllib.loads(text)
        except UnicodeDecodeError:
            raise GraphError(f"`{SETTINGS_FILE}` is not UTF-8 text", facts={"file": str(path)}) from None
        except tomllib.TOMLDecodeError as error:
            reason, line = _split_position(str(error))
            location = Location(SETTINGS_FILE, line)
            raise GraphError(f"`{SETTINGS_FILE}` is not valid TOML: {reason}", facts={"file": str(location)}) from None
        file = cls({name: document.get(name, {}) for name in _KNOWN}, text, (path,))
        for section, entries in document.items():
            facts = {"file": str(file.find(section, None))}
            if section not in _KNOWN:
                names = [f"[{name}]" for name in _KNOWN]
                raise _unknown(f"`{section}` is not a section of `{SETTINGS_FILE}`", f"[{section}]", names, facts)
            if not isinstance(entries, dict):
                raise GraphError(
                    f"`{section}` must be a section, got {describe_value(entries)}",
                    facts=facts,
                    hint=f"write `[{section}]` on a line of its own, and its settings below it",
                )
            for key in entries:
                # A RunConfig field is for Data Designer to judge, which this layer does not import.
                if section != "designer" and key not in _KNOWN[section]:
                    facts = {"file": str(file.find(section, key))}
                    raise _unknown(f"`{key}` is not a setting of `[{section}]`", key, _KNOWN[section], facts)
        return file

    def find(self, section: str, key: str | None) -> Location:
        """Return the line that sets `key`, or that opens `section`; without a line where none looks like it."""
        current = ""
        for number, line in enumerate(self.text.splitlines(), start=1):
            if header := re.match(r"\s*\[\s*([^\[\]]+?)\s*\]\s*(#.*)?$", line):
                current = header[1].strip("\"'")
                if key is None and current == section:
                    return Location(SETTINGS_FILE, number)
            elif entry := re.match(r"\s*([\w.\"'-]+)\s*=", line):
                name = entry[1].replace('"', "").replace("'", "")
                wanted = section if key is None else f"{section}.{key}"
                if (f"{current}.{name}" if current else name) == wanted:
                    return Location(SETTINGS_FILE, number)
        return Location(SETTINGS_FILE)


def _validate(
    model: type[Model], section: str, values: Mapping[str, Any], origins: Mapping[tuple[str, str], _Origin]
) -> Model:
    # TOML has lists; a frozen model holds tuples.
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    try:
        return model(**values)
    except ValidationError as problem:
        key = str(problem.errors(include_url=False)[0]["loc"][0])
        origin = origins[section, key]
        value = values[key]
        shown = describe_value(list(value) if isinstance(value, tuple) else value)
        expected = model.model_fields[key].description
        raise GraphError(f"`{origin.subject}` must be {expected}, got {shown}", facts=origin.facts) from None


def _from_text(text: str, place: tuple[str, str], environ: Mapping[str, str]) -> Any:
    if place in _PATHS:
        return _absolute(text, Path.cwd(), environ)
    if place == ("build", "jobs") and re.fullmatch(r"\s*[0-9]+\s*", text):
        return int(text)
    return text


def _absolute(text: str, base: Path, environ: Mapping[str, str]) -> Path:
    if text == "~" or text.startswith("~/"):
        return Path(environ.get("HOME") or Path.home(), text[2:])
    # normpath, not resolve: a shared folder may be a link that is moved to another disk one day.
    return Path(os.path.normpath(base / text))


def _default_cache(root: Path, look_up: Any) -> Path:
    for name, below in (("XDG_CACHE_HOME", "ddbuild"), ("HOME", ".cache/ddbuild")):
        folder = look_up(name)
        if folder and Path(folder).is_absolute() and _is_writable(Path(folder) / below):
            return Path(folder) / below
    return root / ".ddbuild" / "cache"


def _is_writable(folder: Path) -> bool:
    for candidate in (folder, *folder.parents):
        if candidate.exists():
            return candidate.is_dir() and os.access(candidate, os.W_OK | os.X_OK)
    return False


def _split_position(message: str) -> tuple[str, int | None]:
    match = re.fullmatch(r"(.*?) \(at (?:line (\d+), column \d+|end of document)\)", message, re.DOTALL)
    if match is None:
        return message, None
    reason = match[1][:1].lower() + match[1][1:]
    return reason, int(match[2]) if match[2] else None


def _unknown(message: str, wrong: str, known: Any, facts: Mapping[str, str] | None = None) -> GraphError:
    meant = suggest(wrong, known)
    hint = f"did you mean `{meant}`?" if meant else f"there are {list_words(f'`{name}`' for name in known)}"
    return GraphError(message, facts=facts, hint=hint)


def _dotted_names() -> list[str]:
    return [f"{section}.{key}" for section, keys in _KNOWN.items() for key in keys]
