"""What code may use while a workspace is loaded so that loading it again is known to come out the same.

A list of what is allowed, by module: whatever is not on it, nobody has thought about, and there is no snapshot. On it
is what depends on nothing but its arguments, and what depends on files and variables in a way that is recorded
(`workspace/watch.py`).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

__all__ = [
    "BUILTINS",
    "CALLED_ONLY",
    "CALL_ATTRIBUTES",
    "is_forbidden_attribute",
    "judge",
]

_PURE = (
    *("__future__", "abc", "ast", "base64", "binascii", "bisect", "cmath", "codecs", "collections", "collections.abc"),
    *("contextlib", "copy", "csv", "dataclasses", "decimal", "difflib", "enum", "errno", "fnmatch", "fractions"),
    *("functools", "glob", "graphlib", "hashlib", "heapq", "html", "itertools", "json", "keyword", "math", "numbers"),
    *(
        "json.decoder",
        "json.encoder",
        "pathlib",
        "pprint",
        "re",
        "string",
        "struct",
        "textwrap",
        "tomllib",
        "tomli",
        "typing_extensions",
    ),
    *("unicodedata", "urllib", "urllib.parse", "warnings", "annotated_types", "data_designer", "data_designer.config"),
    *("data_designer.essentials", "data_designer.plugins", "data_designer.engine.secret_resolver"),
)

_SOME: dict[str, frozenset[str]] = {
    "datetime": frozenset({"date", "datetime", "time", "timedelta", "timezone", "tzinfo", "UTC", "MINYEAR", "MAXYEAR"}),
    "data_designer.interface": frozenset({"DataDesigner"}),
    "ddbuild": frozenset(
        {
            *("BuildError", "DdbuildError", "GraphError", "Label", "TargetSeedSource", "UsageError"),
            *("concat", "join", "override", "source", "split_config", "split_stages", "stage", "transform"),
        }
    ),
    "ddbuild.designer": frozenset(),
    "ddbuild.designer.providers": frozenset({"load_default_providers"}),
    "ddbuild.label": frozenset({"Label"}),
    "ddbuild.workspace": frozenset({"concat", "join", "override", "source", "stage", "transform"}),
    "inspect": frozenset({"cleandoc"}),
    "io": frozenset({"BytesIO", "StringIO", "TextIOWrapper", "open", "SEEK_SET", "SEEK_CUR", "SEEK_END"}),
    "logging": frozenset(
        {
            *("CRITICAL", "DEBUG", "ERROR", "INFO", "NOTSET", "WARNING", "Logger", "NullHandler", "critical", "debug"),
            *("error", "exception", "getLogger", "info", "warning"),
        }
    ),
    "os": frozenset(
        {
            *("F_OK", "PathLike", "R_OK", "W_OK", "X_OK", "access", "altsep", "curdir", "devnull", "environ", "extsep"),
            *("fsdecode", "fsencode", "fspath", "getcwd", "getenv", "linesep", "listdir", "makedirs", "mkdir", "name"),
            *("pardir", "path", "pathsep", "readlink", "sep", "strerror", "walk"),
        }
    ),
    "pandas": frozenset({"DataFrame", "Series"}),
    "pyarrow": frozenset(
        {
            *("Array", "Schema", "Table", "array", "binary", "bool_", "date32", "field", "float32", "float64", "int16"),
            *(
                "int32",
                "int64",
                "int8",
                "large_string",
                "list_",
                "map_",
                "schema",
                "string",
                "struct",
                "table",
                "uint8",
            ),
            *("timestamp", "uint16", "uint32", "uint64", "utf8"),
        }
    ),
    "random": frozenset({"Random"}),
    "shlex": frozenset({"join", "quote", "split"}),
    "statistics": frozenset(
        {
            "fmean",
            "geometric_mean",
            "harmonic_mean",
            "mean",
            "median",
            "mode",
            "pstdev",
            "pvariance",
            "stdev",
            "variance",
        }
    ),
    "sys": frozenset(
        {
            *("byteorder", "executable", "exit", "float_info", "hexversion", "implementation", "intern", "maxsize"),
            *("maxunicode", "path", "platform", "prefix", "stderr", "stdout", "version", "version_info"),
        }
    ),
    "types": frozenset({"GenericAlias", "MappingProxyType", "NoneType", "SimpleNamespace", "UnionType"}),
    "uuid": frozenset({"NAMESPACE_DNS", "NAMESPACE_OID", "NAMESPACE_URL", "NAMESPACE_X500", "UUID", "uuid3", "uuid5"}),
    "yaml": frozenset(
        {
            *("CSafeDumper", "CSafeLoader", "SafeDumper", "SafeLoader", "YAMLError", "dump", "dump_all", "safe_dump"),
            *("safe_dump_all", "safe_load", "safe_load_all"),
        }
    ),
    "zlib": frozenset({"adler32", "compress", "crc32", "decompress"}),
}

_NOT: dict[str, frozenset[str]] = {
    "ast": frozenset({"main"}),
    "codecs": frozenset({"open", "register", "register_error"}),
    "operator": frozenset({"attrgetter", "methodcaller"}),
    "os.path": frozenset({"getatime", "ismount"}),
    "posixpath": frozenset({"getatime", "ismount"}),
    "pydantic": frozenset(
        {"FutureDate", "FutureDatetime", "ImportString", "PastDate", "PastDatetime", "PyObject", "parse_obj_as", "v1"}
    ),
    "typing": frozenset({"ForwardRef", "get_type_hints"}),
    "typing_extensions": frozenset({"ForwardRef", "evaluate_forward_ref", "get_annotations", "get_type_hints"}),
    "dataclasses": frozenset({"make_dataclass"}),
}
_ALL_BUT = frozenset({*_PURE, *_NOT})

_IMPURE = frozenset(
    {
        *("_random", "_socket", "_thread", "datetime", "importlib", "nt", "os", "posix", "random", "secrets", "signal"),
        *("socket", "subprocess", "tempfile", "threading", "time", "uuid"),
    }
)
"""Where other modules have things from that they do not tell of: `statistics.Random` is `random.Random`."""

CALLED_ONLY = frozenset({"datetime.date", "datetime.datetime", "random.Random"})
"""Classes that may be called, but not be handed on: what they have besides is of the clock, or of chance."""

CALL_ATTRIBUTES = frozenset(
    {"combine", "fromisocalendar", "fromisoformat", "fromordinal", "max", "min", "resolution", "strptime"}
)
"""What of `datetime.date` and `datetime.datetime` depends on its arguments alone."""

BUILTINS = frozenset(
    {
        *(
            "abs",
            "all",
            "any",
            "ascii",
            "bin",
            "bool",
            "bytearray",
            "bytes",
            "callable",
            "chr",
            "classmethod",
            "complex",
        ),
        *("dict", "divmod", "enumerate", "filter", "float", "format", "frozenset", "getattr", "hasattr", "hex", "int"),
        *(
            "isinstance",
            "issubclass",
            "iter",
            "len",
            "list",
            "map",
            "max",
            "memoryview",
            "min",
            "next",
            "object",
            "oct",
        ),
        *("open", "ord", "pow", "print", "property", "range", "repr", "reversed", "round", "set", "setattr", "slice"),
        *("sorted", "staticmethod", "str", "sum", "super", "tuple", "type", "zip"),
        *("Ellipsis", "False", "None", "NotImplemented", "True", "__debug__"),
        *(
            "__doc__",
            "__file__",
            "__name__",
            "__package__",
            "__annotations__",
            "__qualname__",
            "__module__",
            "__class__",
        ),
    }
)
"""Names that Python knows by itself; those of exceptions are allowed besides."""

_DUNDERS = frozenset(
    {
        *(
            "__abs__",
            "__add__",
            "__aenter__",
            "__aexit__",
            "__all__",
            "__and__",
            "__annotations__",
            "__bool__",
            "__call__",
        ),
        *(
            "__cause__",
            "__class__",
            "__contains__",
            "__delitem__",
            "__doc__",
            "__enter__",
            "__eq__",
            "__exit__",
            "__file__",
        ),
        *("__fspath__", "__ge__", "__get__", "__getitem__", "__gt__", "__hash__", "__init__", "__init_subclass__"),
        *("__iter__", "__le__", "__len__", "__lt__", "__members__", "__mul__", "__name__", "__ne__", "__new__"),
        *("__next__", "__or__", "__post_init__", "__qualname__", "__radd__", "__repr__", "__set__", "__set_name__"),
        *("__setitem__", "__str__", "__sub__", "__version__"),
    }
)
"""Names of Python's own by which nothing else is reached, on any object."""

_FORBIDDEN = frozenset(
    {
        # The clock and chance.
        *("now", "today", "utcnow", "fromtimestamp", "utcfromtimestamp", "astimezone"),
        *("sample", "samples", "makeRecord", "SystemRandom"),
        # What the signature of a file does not have, and the terminal.
        *("st_atime", "st_atime_ns", "owner", "isatty", "fileno", "is_mount"),
        # Ways round.
        *("gi_frame", "gi_code", "cr_frame", "ag_frame", "tb_frame", "f_globals", "f_builtins", "f_locals", "f_back"),
        "model_fields_set",
        *("_data", "addFilter", "addHandler", "eval", "exec_module", "load_module", "get_data", "get_field", "modules"),
        *("builtins", "importlib", "os", "posix", "subprocess", "sys"),
    }
)
"""Names that are not asked for on any object, because of what some have under them."""


def is_forbidden_attribute(name: str) -> bool:
    """Return whether code may not ask any object for `name` while it is loaded."""
    return name in _FORBIDDEN or (name.startswith("__") and name.endswith("__") and name not in _DUNDERS)


def judge(parts: Sequence[str]) -> tuple[bool, str, list[str]]:
    """Return whether a chain of names, the first a module's, may be used; its true name; what is asked for on that.

    `["logging", "time", "time"]` is the clock's `time.time`. A chain that ends at a module may not be used: who knows
    what is asked for on it.
    """
    module: Any = sys.modules.get(parts[0])
    if module is None:
        return False, ".".join(parts), []
    for position, name in enumerate(parts[1:], 1):
        home = _name_module(module)
        full = ".".join([home, *parts[position:]])
        if name in _NOT.get(home, ()):
            return False, full, []
        found = _get(module, name)
        if isinstance(found, ModuleType):
            # A submodule, or what a module has imported for itself: then that counts.
            module = found
            continue
        if not _is_allowed(home, name):
            return False, full, []
        if isinstance(found, type) or callable(found):
            home, name = _find_origin(home, name, found)
            if not _is_allowed(home, name):
                return False, f"{home}.{name}", []
        return True, f"{home}.{name}", list(parts[position + 1 :])
    return False, _name_module(module), []


def _is_allowed(module: str, name: str) -> bool:
    if name.startswith("_"):
        return name in _DUNDERS
    if (some := _SOME.get(module)) is not None:
        return name in some
    package, _, rest = module.rpartition(".")
    return module in _ALL_BUT or package == "pydantic" or (package == "data_designer.config" and rest != "utils")


def _find_origin(home: str, name: str, found: Any) -> tuple[str, str]:
    """Return the module that an object is truly of, and its name there, where that module tells more of it."""
    origin = getattr(found, "__module__", None)
    if not isinstance(origin, str) or origin not in _IMPURE:
        return home, name
    origin = {"posix": "os", "nt": "os", "_random": "random"}.get(origin, origin)
    return (home, name) if origin == home else (origin, str(getattr(found, "__name__", name)))


def _name_module(module: ModuleType) -> str:
    return {"posixpath": "os.path", "ntpath": "os.path"}.get(module.__name__, module.__name__)


def _get(module: ModuleType, name: str) -> Any:
    try:
        return getattr(module, name)
    except AttributeError:
        return sys.modules.get(f"{module.__name__}.{name}")
