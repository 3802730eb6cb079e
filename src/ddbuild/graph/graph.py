"""The graph of targets, and the questions one can ask of its shape.

Owns labels, edges and patterns on a networkx graph. It never loads a config, reads a file or looks into a cache.
All walks are iterative, so that a chain of thousands of targets is no deeper than one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

import networkx as nx

from ddbuild.errors import GraphError, UsageError
from ddbuild.graph.targets import Concat, Join, Stage, Target, Transform
from ddbuild.label import Label, Pattern
from ddbuild.suggestion import suggest

__all__ = ["TargetGraph"]


class TargetGraph:
    """Targets by label, with an edge from each parent to each child."""

    def __init__(self) -> None:
        self._targets: dict[Label, Target] = {}
        self._edges: nx.DiGraph[Label] | None = None

    @property
    def targets(self) -> Mapping[Label, Target]:
        """Every target by its label, in the order of declaration."""
        return MappingProxyType(self._targets)

    def __contains__(self, label: object) -> bool:
        return label in self._targets

    def __getitem__(self, label: Label) -> Target:
        return self._targets[label]

    def __iter__(self) -> Iterator[Label]:
        return iter(self._targets)

    def __len__(self) -> int:
        return len(self._targets)

    def add(self, target: Target) -> Label:
        """Add `target` and return its label.

        Raises:
            GraphError: another target has this label.
        """
        if (first := self._targets.get(target.label)) is not None:
            facts = {"first": str(first.location or "a script"), "second": str(target.location or "a script")}
            raise GraphError(f"`{target.label}` is defined twice", facts=facts, hint="rename one of them")
        self._targets[target.label] = target
        self._edges = None
        return target.label

    def validate(self) -> None:
        """Resolve short labels and check that every parent exists and that nothing depends on itself.

        Raises:
            GraphError: an unknown parent, an ambiguous short label, or a cycle, drawn as a chain of arrows.
        """
        for target in list(self._targets.values()):
            resolved = self._resolve_parents(target)
            if resolved is not target:
                self._targets[target.label] = resolved
                self._edges = None
        self._check_cycles()

    def parents(self, label: Label) -> tuple[Label, ...]:
        """Return the direct parents of `label`, sorted."""
        return tuple(sorted(set(parents_of(self._targets[label]))))

    def children(self, label: Label) -> tuple[Label, ...]:
        """Return the direct children of `label`, sorted."""
        return tuple(sorted(self._graph.successors(label)))

    def ancestors(self, labels: Iterable[Label]) -> set[Label]:
        """Return `labels` and everything that they depend on."""
        return self._reach(labels, self._graph.predecessors)

    def descendants(self, labels: Iterable[Label]) -> set[Label]:
        """Return `labels` and everything that depends on them."""
        return self._reach(labels, self._graph.successors)

    def sort(self, labels: Iterable[Label]) -> list[Label]:
        """Return `labels` with parents before children; ties in the order of labels, so that it is always the same."""
        chosen = set(labels)
        return list(nx.lexicographical_topological_sort(self._graph.subgraph(chosen), key=lambda label: str(label)))

    def resolve(self, patterns: Iterable[Pattern]) -> list[Label]:
        """Return the labels that `patterns` choose, sorted, each once.

        Negative patterns take away from what the positive ones chose, wherever they stand.

        Raises:
            UsageError: a pattern chooses nothing; the hint is the nearest label.
        """
        chosen: set[Label] = set()
        removed: set[Label] = set()
        for pattern in patterns:
            (removed if pattern.negative else chosen).update(self._match(pattern))
        return sorted(chosen - removed)

    def find(self, label: Label) -> Label:
        """Return the target's label that `label` means.

        Raises:
            UsageError: there is none, or a short label means two.
        """
        short = label.short and label.package == label.name
        candidates = [label] if label in self._targets else []
        if short and (root := Label("", label.name)) in self._targets:
            candidates.append(root)
        if len(candidates) == 1:
            return Label(candidates[0].package, candidates[0].name)
        if candidates:
            raise UsageError(
                f"`//{label.package}` could be two targets",
                facts={"in the root": f"//:{label.name}", "in the package": f"//{label.package}:{label.name}"},
                hint="write one of them",
            )
        written = f"//{label.package}" if label.short else str(label)
        raise UsageError(f"`{written}` is not a target", hint=self._suggest(label))

    @property
    def _graph(self) -> nx.DiGraph[Label]:
        if self._edges is None:
            graph: nx.DiGraph[Label] = nx.DiGraph()
            graph.add_nodes_from(self._targets)
            graph.add_edges_from((parent, label) for label, t in self._targets.items() for parent in parents_of(t))
            self._edges = graph
        return self._edges

    def _reach(self, labels: Iterable[Label], step: object) -> set[Label]:
        seen: set[Label] = set()
        stack = list(labels)
        while stack:
            label = stack.pop()
            if label not in seen:
                seen.add(label)
                stack.extend(step(label))  # type: ignore[operator]
        return seen

    def _match(self, pattern: Pattern) -> set[Label]:
        if pattern.name is not None:
            return {self.find(Label(pattern.package, pattern.name, short=pattern.short))}
        prefix = pattern.package + "/" if pattern.package else ""
        matches = {
            label
            for label in self._targets
            if label.package == pattern.package
            or (pattern.recursive and (not pattern.package or label.package.startswith(prefix)))
        }
        if not matches and not pattern.negative:
            known = {f"//{label.package}" for label in self._targets}
            near = suggest(f"//{pattern.package}", known)
            hint = f"did you mean `{near}{'/...' if pattern.recursive else ':all'}`?" if near else None
            raise UsageError(f"`{pattern}` chooses no target", hint=hint)
        return matches

    def _suggest(self, label: Label) -> str | None:
        if not self._targets:
            return "no build file defines a target yet"
        near = suggest(str(label), map(str, self._targets)) or suggest(f"//:{label.name}", map(str, self._targets))
        if near is None:
            by_name = {candidate.name: str(candidate) for candidate in self._targets}
            name = suggest(label.name, by_name)
            near = by_name[name] if name else None
        return f"did you mean `{shorten(near)}`?" if near else "`ddbuild query //...` lists all targets"

    def _resolve_parents(self, target: Target) -> Target:
        parents = parents_of(target)
        if all(not label.short and label in self._targets for label in parents):
            return target
        found: dict[Label, Label] = {}
        for parent in parents:
            try:
                found[parent] = self.find(parent)
            except UsageError as error:
                facts = {"needed by": str(target.label), "build file": str(target.location or "a script")}
                written = f"//{parent.package}" if parent.short else str(parent)
                message = f"`{target.label}` needs `{written}`, which no build file defines"
                if "could be two" in error.message:
                    message = f"`{target.label}` needs `{written}`, which could be two targets"
                raise GraphError(message, facts=facts | error.facts, hint=error.hint) from None
        return rename_parents(target, found)

    def _check_cycles(self) -> None:
        try:
            cycle = nx.find_cycle(self._graph)
        except nx.NetworkXNoCycle:
            return
        # Edges run from parent to child; people read "needs".
        chain = [str(edge[0]) for edge in reversed(cycle)]
        first = self._targets[cycle[-1][0]]
        raise GraphError(
            "targets depend on each other in a cycle",
            facts={"cycle": " -> ".join([*chain, chain[0]]), "build file": str(first.location or "a script")},
            hint="take one of these out of a `depends_on`",
        )


def parents_of(target: Target) -> tuple[Label, ...]:
    """Return every parent that `target` names, in `depends_on` or only in its seed."""
    named = list(target.depends_on)
    if isinstance(target, Stage):
        if isinstance(target.seed, Label):
            named.append(target.seed)
        elif isinstance(target.seed, (Concat, Join)):
            named.extend(target.seed.parents)
    return tuple(dict.fromkeys(named))


def rename_parents(target: Target, names: Mapping[Label, Label]) -> Target:
    """Return `target` with each parent replaced by `names[parent]`."""

    def rename(labels: Iterable[Label]) -> tuple[Label, ...]:
        return tuple(names.get(label, label) for label in labels)

    if isinstance(target, Stage):
        seed = target.seed
        if isinstance(seed, Label):
            seed = names.get(seed, seed)
        elif isinstance(seed, (Concat, Join)):
            seed = replace(seed, parents=rename(seed.parents))
        return replace(target, depends_on=rename(target.depends_on), seed=seed)
    if isinstance(target, Transform):
        return replace(target, depends_on=rename(target.depends_on))
    return target


def shorten(label: str) -> str:
    """Return `//:name` as people type it, `//name`; any other label unchanged."""
    return "//" + label[3:] if label.startswith("//:") else label
