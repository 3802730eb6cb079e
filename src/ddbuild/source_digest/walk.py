"""The walk from one function, class or value to everything that it reaches, each thing once.

Breadth first and in the order of names, so that what is reached has the same name in every process: the name by which
the code reads it, behind its reader's only where two things would share one. Nothing is imported or called.
"""

from __future__ import annotations

import builtins
import functools
import os
import types
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ddbuild.digest import Digest, digest_bytes
from ddbuild.errors import Location, UnhashableError
from ddbuild.source_digest.class_content import look_into_class
from ddbuild.source_digest.encoding import encode_tagged, encode_text
from ddbuild.source_digest.library_data import is_random_source
from ddbuild.source_digest.module_slice import EVERYTHING, NAMESPACE_READERS, resolve_import, slice_modules
from ddbuild.source_digest.names import (
    UNDEFINED,
    Meaning,
    is_taken_from_library,
    list_code_names,
    list_defaults,
    list_layers,
    list_settings,
    read_cells,
    resolve,
)
from ddbuild.source_digest.ownership import Ownership, find_namespace, locate_code, name_external
from ddbuild.source_digest.reads import Chain, Reads, find_reads
from ddbuild.source_digest.refusal import describe_refusal
from ddbuild.source_digest.source_file import SourceFile, fingerprint_code
from ddbuild.source_digest.sources import Sources
from ddbuild.source_digest.value import RefusedValueError, Trail, ValueEncoder, format_trail

__all__ = ["Node", "Walk"]


@dataclass(slots=True, eq=False)
class Node:
    """One thing that was reached: its own content, and where each of its reads leads.

    `label` is how its reader reads it; `place` is where.
    """

    name: str
    label: str
    thing: Any
    reader: Node | None = None
    place: Location | None = None
    edges: dict[str, bytes] = field(default_factory=dict)
    mentions_docstrings: bool = False
    encode: Callable[[bool], bytes] = lambda keep_docstrings: b""

    def digest(self, keep_docstrings: bool) -> Digest:
        """Return the digest of what the thing is itself; of what it reads, only the names count."""
        edges = [piece for label in sorted(self.edges) for piece in (encode_text(label), self.edges[label])]
        return digest_bytes(encode_tagged("node", [self.encode(keep_docstrings), *edges]))


class Walk:
    """One walk. `subject` says in errors what needs the digest."""

    def __init__(self, root: Path | None, subject: str) -> None:
        self._owner = Ownership(root)
        self._root = None if root is None else str(root)
        self._sources = Sources(self._owner, subject)
        self._subject = subject
        self._encoder: ValueEncoder | None = None
        self._queue: deque[tuple[Node, Callable[[Node], None]]] = deque()
        self._nodes: dict[str, Node] = {}
        self._known: dict[tuple[object, ...], Node] = {}
        self._modules: list[tuple[str, str, str | None]] = []
        self._wrappers: list[object] = []
        # Whose content is being encoded, and the name that this has inside it.
        self._reader = Node("", "", None)
        self._path = ""

    def start(self, thing: Any) -> Any:
        """Reach a callable first; return its core, what is left without decorators, which has the name ""."""
        layers = list_layers(thing)
        own = [layer for layer in layers if isinstance(layer, (types.FunctionType, type)) and self._owner.owns(layer)]
        core = own[-1] if own else layers[-1]
        if not own and self._owner.owns_class(type(core)):
            core = type(core)
        elif not own:
            self.start_value(thing)
            return core
        if self._root is None and isinstance(core, types.FunctionType):
            # A script without a workspace: paths are told from its own folder.
            self._root = str(Path(locate_code(core.__code__, core.__globals__)).parent)
        node = self._reach_code(core, "", None)
        if thing is not core:
            label = "self" if isinstance(core, type) or isinstance(thing, types.MethodType) else "decorator"
            label = "arguments" if isinstance(thing, functools.partial) else label
            with self._refusing(node):
                node.edges["(around)"] = self._link(node, label, thing, ("around",))
        return core

    def start_value(self, value: Any, *, ordered: bool = True) -> None:
        """Reach a value first, whatever it is; `ordered` says whether the order of the dicts in it counts."""
        if not ordered:
            self._encoder = ValueEncoder(self, self._owner, root=self._root, ordered=False)
        self._reach(("start",), "", value, None, self._expand_value)

    def finish(self) -> dict[str, Digest]:
        """Follow every read to its end; return the digests of all that was reached, by name."""
        while self._queue:
            node, expand = self._queue.popleft()
            with self._refusing(node):
                expand(node)
        with self._refusing(self._nodes[""]):
            slices = slice_modules(self._modules, self._owner, self._sources.open_module)
        for file in sorted(slices, key=lambda file: slices[file].name):
            part = slices[file]
            node = self._reach(("module", file), f"module {part.name}", None, None, None)
            node.encode = part.encode
            node.mentions_docstrings = part.mentions_docstrings
        keep = any(node.mentions_docstrings for node in self._nodes.values())
        return {name: node.digest(keep) for name, node in self._nodes.items()}

    def refer(self, code: Any, trail: Trail) -> bytes:
        """Return what stands in an encoding for a module, class or function, and reach it."""
        label = code.__name__ if isinstance(code, type) else self._path + format_trail(trail)
        return self._refer_code(code, label or "value", self._reader)

    # Reaching

    def _link(self, reader: Node, label: str, thing: Any, identity: tuple[object, ...], name: str = "") -> bytes:
        """Return what stands for `thing` in the edges of `reader`: code by its name, data by a node of its own."""
        if isinstance(thing, (types.FunctionType, types.ModuleType, type)):
            return self._refer_code(thing, name or label, reader)
        return _point_to(self._reach(identity, label, thing, reader, self._expand_value))

    def _refer_code(self, code: Any, label: str, reader: Node) -> bytes:
        if isinstance(code, types.ModuleType) and self._owner.owns_module(code.__name__, vars(code)):
            file = getattr(code, "__file__", None)
            if not isinstance(file, str):
                return encode_tagged("namespace package")
            return self._ask_module(label, file, EVERYTHING, reader)
        if not isinstance(code, types.ModuleType) and self._owner.owns(code):
            if not isinstance(code, (types.FunctionType, type)):
                raise RefusedValueError(code, None)
            return _point_to(self._reach_code(code, label, reader))
        if not isinstance(code, types.FunctionType) or self._owner.is_library_name(code):
            return encode_tagged("library", [encode_text(name_external(code))])
        # `functools.wraps` gives a wrapper the names of what it wraps.
        name = f"{code.__globals__.get('__name__')}.{code.__code__.co_qualname}"
        return encode_tagged("library", [encode_text(name), self._encode_wrapper(code, label, reader)])

    def _reach_code(self, code: Any, label: str, reader: Node | None) -> Node:
        expand = self._expand_class if isinstance(code, type) else self._expand_function
        return self._reach(("code", id(code)), label, code, reader, expand)

    def _ask_module(self, name: str, file: str, asked: str | None, reader: Node) -> bytes:
        real = os.path.realpath(file)
        self._modules.append((name, real, asked))
        node = self._reach(("module", real), f"module {name}", None, reader, None)
        return encode_tagged("module", [_point_to(node), encode_text(asked or "")])

    def _reach(
        self,
        identity: tuple[object, ...],
        label: str,
        thing: Any,
        reader: Node | None,
        expand: Callable[[Node], None] | None,
    ) -> Node:
        node = self._known.get(identity)
        if node is None:
            name, behind = label, reader.name if reader is not None else ""
            if name in self._nodes and behind:
                name = f"{behind} -> {label}"
            count = 2
            while name in self._nodes:
                name, count = f"{label} ({count})", count + 1
            node = Node(name, label, thing, reader, None if reader is None else reader.place)
            self._nodes[name] = self._known[identity] = node
            if expand is not None:
                self._queue.append((node, expand))
        return node

    # Looking into what was reached

    def _expand_function(self, node: Node) -> None:
        function: types.FunctionType = node.thing
        code, namespace = function.__code__, function.__globals__
        self._owner.note_namespace(namespace)
        file = locate_code(code, namespace)
        source = self._sources.open(file, namespace)
        if source is None:
            raise RefusedValueError(function, None)
        node.place = Location(file, code.co_firstlineno)
        try:
            found = source.find_function(code)
        except SyntaxError:
            found = None
        if found is None:
            raise RefusedValueError(function, None) from LookupError("its file was edited after it was loaded")
        syntax, stale = found.node, [] if found.is_current else [encode_text(fingerprint_code(code))]
        node.encode = lambda keep: encode_tagged("function", [source.encode(syntax, keep_docstrings=keep), *stale])
        node.mentions_docstrings = source.mentions_docstrings(syntax)
        reads = source.find_reads(syntax)
        cells = dict(read_cells(function))
        chains: dict[Chain, int] = {**{(name,): 0 for name in cells}, **reads.chains}
        if not found.is_current:
            chains.update({(name,): 0 for name in list_code_names(code) if name in namespace})
        self._follow(node, Reads(chains, reads.imports), namespace, cells, source)
        for name, default in sorted(list_defaults(function).items()):
            label = f"default {name}"
            shown = f"{node.name} -> {label}" if node.name else label
            node.edges[label] = self._link(node, shown, default, ("default", id(function), name))

    def _expand_class(self, node: Node) -> None:
        kind: type = node.thing
        namespace = find_namespace(kind, self._owner.namespaces) or {}
        self._owner.note_namespace(namespace)
        content = look_into_class(kind, namespace, self._sources.open, self._owner)
        if content.source is not None:
            node.place = Location(content.source.path, content.line)
        self._reader, self._path = node, node.name or kind.__name__
        attributes = []
        for name in sorted(content.attributes):
            value, is_told_by_definition = content.attributes[name]
            try:
                attributes += [encode_text(name), self._encode_value(value, (None, ".%s", name))]
            except RefusedValueError:
                if not is_told_by_definition:
                    raise
        node.encode = lambda keep: encode_tagged("class", [*content.encode(keep), *attributes])
        node.mentions_docstrings = content.mentions_docstrings
        for reads in content.reads:
            self._follow(node, reads, namespace, content.cells, content.source)
        for index, base in enumerate([*kind.__bases__, type(kind)]):
            node.edges[f"base {index}"] = self._refer_code(base, base.__name__, node)

    def _expand_value(self, node: Node) -> None:
        self._reader, self._path = node, node.label
        encoding = self._encode_value(node.thing, None)
        if not node.name:
            # Code that is reached from a value can loop over its dicts, whatever counts in the value.
            self._encoder = None
        node.encode = lambda keep: encoding

    def _encode_value(self, value: Any, trail: Trail) -> bytes:
        if self._encoder is None:
            self._encoder = ValueEncoder(self, self._owner, root=self._root)
        return self._encoder.encode(value, trail)

    def _encode_wrapper(self, wrapper: types.FunctionType, label: str, reader: Node) -> bytes:
        """Encode what a library's function closes over: the user's function that it decorates, and its settings."""
        if any(known is wrapper for known in self._wrappers):
            return encode_tagged("cycle")
        before = self._reader, self._path
        self._reader, self._path = reader, label
        self._wrappers.append(wrapper)
        pieces = []
        try:
            for name, content in list_settings(wrapper):
                try:
                    pieces += [encode_text(name), self._encode_value(content, None)]
                except RefusedValueError:
                    # A decorator and its arguments are part of the source of the function that it decorates.
                    if not hasattr(wrapper, "__wrapped__"):
                        raise
        finally:
            self._wrappers.pop()
            self._reader, self._path = before
        return encode_tagged("closure", pieces)

    # Following names

    def _follow(
        self,
        node: Node,
        reads: Reads,
        namespace: Mapping[str, Any],
        cells: Mapping[str, Any],
        source: SourceFile | None,
    ) -> None:
        place = node.place
        for chain, line in sorted(reads.chains.items()):
            name = chain[0]
            if line and place is not None:
                # What is reached from here was read in this line.
                node.place = Location(place.file, line)
            if name in cells:
                self._follow_chain(node, chain, cells[name], namespace, source, prefix="closure ")
            elif name in namespace:
                self._follow_chain(node, chain, namespace[name], namespace, source)
            elif hasattr(builtins, name):
                node.edges[name] = encode_tagged("builtin")
            elif name != "__class__":
                node.edges[name] = encode_tagged("undefined")
            if source is not None and (
                (name in NAMESPACE_READERS and name not in namespace) or chain[:2] == ("sys", "modules")
            ):
                node.edges["(module)"] = self._ask_module("itself", source.path, EVERYTHING, node)
        node.place = place
        if source is None:
            return
        for read in reads.imports:
            for name, file, asked in resolve_import(read, source.path, self._owner):
                node.edges[f"import {name} {asked or ''}"] = self._ask_module(name, file, asked, node)

    def _follow_chain(
        self,
        node: Node,
        chain: Chain,
        value: Any,
        namespace: Mapping[str, Any],
        source: SourceFile | None,
        prefix: str = "",
    ) -> None:
        meaning = resolve(chain, value, namespace, self._owner)
        label, value = prefix + meaning.label, meaning.value
        if meaning.is_own or value is UNDEFINED:
            node.edges[label] = encode_tagged("module's own" if meaning.is_own else "undefined")
            return
        if meaning.holder is not namespace:
            source = self._sources.open(meaning.holder.get("__file__"), meaning.holder)
        library = None if prefix else is_taken_from_library(meaning, source, self._owner)
        if library is not None:
            node.edges[label] = encode_tagged("library", [encode_text(library)])
        elif prefix:
            shown = f"{node.name} -> {label}" if node.name else label
            node.edges[label] = self._link(node, shown, value, ("closure", id(node), label))
        elif is_random_source(value) and source is not None and source.find_bindings(meaning.name):
            node.edges[label] = self._link_to_making(node, meaning, source)
        else:
            identity = ("global", id(meaning.holder), meaning.name)
            node.edges[label] = self._link(node, f"global {label}", value, identity, name=label)
        if meaning.rest and isinstance(value, (types.FunctionType, type)) and self._owner.owns(value):
            self._follow_attribute(node, label, value, meaning.rest[0])

    def _follow_attribute(self, node: Node, label: str, code: Any, name: str) -> None:
        """Follow what a function or class has but does not say: `score.limit`, set from outside; subclasses."""
        shown = f"{label}.{name}"
        if isinstance(code, types.FunctionType) and name in vars(code):
            node.edges[shown] = self._link(node, shown, vars(code)[name], ("attribute", id(code), name))
        elif isinstance(code, type) and name == "__subclasses__":
            children: list[type] = type.__subclasses__(code)
            for kind in sorted(children, key=lambda child: child.__qualname__):
                node.edges[f"{shown} {kind.__qualname__}"] = self._refer_code(kind, kind.__qualname__, node)

    def _link_to_making(self, node: Node, meaning: Meaning, source: SourceFile) -> bytes:
        """Let the statement that makes a random number generator stand for it, since its state moves on."""

        def expand(made: Node) -> None:
            encoding = source.encode_binding(meaning.name)
            made.encode = lambda keep: encode_tagged("made by", [encode_text(type(made.thing).__name__), encoding])
            reads = find_reads(source.find_bindings(meaning.name))
            self._follow(made, reads, meaning.holder, {}, source)

        identity = ("global", id(meaning.holder), meaning.name)
        return _point_to(self._reach(identity, f"global {meaning.label}", meaning.value, node, expand))

    # Errors

    @contextmanager
    def _refusing(self, node: Node) -> Iterator[None]:
        try:
            yield
        except RefusedValueError as refused:
            raise self._refuse(node, refused) from None
        except RecursionError:
            deep = RefusedValueError(node.thing, None)
            deep.__cause__ = LookupError("it is nested too deeply")
            raise self._refuse(node, deep) from None

    def _refuse(self, node: Node, refused: RefusedValueError) -> UnhashableError:
        chain = []
        current: Node | None = node
        while current is not None:
            chain.append(current.label)
            current = current.reader
        place = node.place and Location(self._sources.show(node.place.file), node.place.line)
        return describe_refusal(self._subject, list(reversed(chain)), refused, self._nodes[""].thing, place)


def _point_to(node: Node) -> bytes:
    return encode_tagged("node", [encode_text(node.name)])
