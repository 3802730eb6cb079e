"""Taking a snapshot: after a build that has left nothing to do, so that the next one can say so at once.

Owns which results a later process may answer with, and what of the cache they depend on. A snapshot is a convenience:
nothing here may stop a build or say anything.
"""

from __future__ import annotations

import json
import marshal
import os
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from ddbuild.building.api import WorkspaceSession
from ddbuild.building.results import ActionRun, BuildResult, TargetResult
from ddbuild.building.scheduler import Outcome
from ddbuild.building.session import Session
from ddbuild.cache.result import ActionResult
from ddbuild.cache.tier import Tier
from ddbuild.label import Label
from ddbuild.materialize import DATA_FILE, is_media, read_stamp
from ddbuild.plan.decision import Hit
from ddbuild.plan.planner import Plan, TargetPlan
from ddbuild.report.ink import Ink
from ddbuild.report.json_document import describe_build
from ddbuild.report.summary import say_lost_rows
from ddbuild.report.wording import count, say_label
from ddbuild.snapshot.answer import explain, is_wanted, latest_request
from ddbuild.snapshot.check import ACTIONS, CAS, inputs_hold
from ddbuild.snapshot.inputs import NoSnapshotError, collect_inputs, list_above
from ddbuild.snapshot.record import FOLDER, Snapshot, index_labels, open_snapshot, write_snapshot
from ddbuild.workspace import Reads

__all__ = ["keep_snapshot"]

_STATE = ("history", "materialized", "logs", "snapshot", "cache", "preview")
"""What of `.ddbuild/` is written by builds, and no input of one."""

_MOST_TEXT = 1 << 16


def keep_snapshot(opened: WorkspaceSession, session: Session, labels: Iterable[Label], result: BuildResult) -> None:
    """Keep a snapshot of `result`, the build of `labels`, if one can be taken.

    `opened` is the workspace, and `session` the session on it that has built.
    """
    if not is_wanted():
        return
    try:
        _Taking(opened, session, sorted(labels), result).take()
    except NoSnapshotError as error:
        explain("no snapshot was taken", str(error))
    except Exception as error:
        explain("no snapshot was taken", repr(error))


class _Taking:
    def __init__(
        self, opened: WorkspaceSession, session: Session, labels: Sequence[Label], result: BuildResult
    ) -> None:
        self._opened = opened
        self._session = session
        self._labels = labels
        self._result = result
        self._reads = opened.reads
        self._root = str(session.root)
        self._all = sorted(session.graph)
        self._numbers = {label: number for number, label in enumerate(self._all)}
        shared = session.cache.shared
        self._tiers = (str(session.cache.local.folder), None if shared is None else str(shared.folder))
        tiers = [tier for tier in self._tiers if tier is not None]
        self._our_folders = {f"{self._root}/.ddbuild", *tiers}
        self._our_places = (
            *(f"{self._root}/.ddbuild/{name}" for name in _STATE),
            *(f"{tier}/{name}" for tier in tiers for name in ("v1", "tmp")),
        )

    def take(self) -> None:
        request = latest_request()
        if request is None:
            raise NoSnapshotError("the command line holds more than a snapshot answers")
        if self._session is not self._opened.session or self._session.output_root != self._session.root:
            raise NoSnapshotError("rows were put in the place of a target's own")
        if self._session.overrides:
            raise NoSnapshotError("a build says each time that rows are overridden")
        if not self._result.ok:
            raise NoSnapshotError("not everything was built")
        said = "".join(self._reads.said)
        if len(said) > _MOST_TEXT:
            raise NoSnapshotError("the build files print too much")
        folder = os.path.join(self._root, FOLDER)  # noqa: PTH118
        Path(folder).mkdir(parents=True, exist_ok=True)
        path = f"{folder}/.{secrets.token_hex(8)}"
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            # By the clock of the file system, which may be another machine's.
            moment = min(os.fstat(file).st_ctime_ns, time.time_ns())
            plan, results, looked = self._look()
            made = {folder for tier in self._tiers if tier is not None for folder in list_above(tier)}
            inputs = collect_inputs(self._reads, moment, self._is_ours, made)
            current_folder = request.folder if self._reads.uses_current_folder else None
            records, groups = self._describe(plan, results, looked)
            inputs = self._merge(request.caller, current_folder, said, inputs, records)
            write_snapshot(
                caller=request.caller,
                root=self._root,
                moment=moment,
                current_folder=current_folder,
                said=said,
                tiers=self._tiers,
                inputs=inputs,
                labels=[str(label) for label in self._all],
                groups=groups,
                records=[records.get(number, b"") for number in range(len(self._all))],
                file=file,
                path=path,
            )
        except BaseException:
            _close(file)
            Path(path).unlink(missing_ok=True)
            raise

    def _look(self) -> tuple[Plan, BuildResult, Reads]:
        """Return a plan in which all is there, its targets as a build that has nothing to do tells them, and the reads.

        The signature that a record in the cache had before it was read is among the reads.
        """
        session, plan = self._session, self._session.planned
        if plan is not None and all(_is_as_before(each) for each in self._result.requested):
            return plan, self._result, self._reads
        reads, watching = Reads(), session.watching
        session.watching = reads.recording
        try:
            plan = session.plan(self._labels)
        finally:
            session.watching = watching
        found = {label: _find_outcome(plan.targets[label]) for label in self._labels}
        outcomes = {label: outcome for label, outcome in found.items() if outcome is not None}
        return plan, session.finish(plan, outcomes, 0.0, interrupted=False), reads

    def _describe(
        self, plan: Plan, result: BuildResult, reads: Reads
    ) -> tuple[dict[int, bytes], list[tuple[int, ...]]]:
        """Return the records of all targets in `plan` by number, and the groups that they name."""
        planned = self._session.describe_plan(plan, 0.0)
        records: dict[int, bytes] = {}
        plain: dict[Label, bool] = {}
        asked = tuple(self._numbers[label] for label in self._labels)
        steps = _gather_steps(reads, self._session.cache.local, self._session.cache.shared)
        answers = 0
        for label, target in plan.targets.items():
            parents = self._session.graph.parents(label)
            plain[label] = all(plain[parent] for parent in parents) and all(
                isinstance(each.decision, Hit) and each.content_key is not None for each in target.actions
            )
            answer = None
            # Where a parent is gone, the shared tier is looked into under more than one name.
            if label in result.targets and target.requested and (plain[label] or self._tiers[1] is None):
                answer = self._make_answer(target, result.targets[label], planned.targets[label])
                answers += answer is not None
            record = (
                tuple(self._numbers[parent] for parent in parents),
                -1 if plain[label] else 0,
                tuple(step for key in _list_keys(target) for step in steps.get(key, ())),
                answer,
            )
            if not record[2]:
                raise NoSnapshotError(f"`{label}` was not looked up")
            records[self._numbers[label]] = marshal.dumps(record)
        if not answers:
            raise NoSnapshotError("no target is up to date in a way that a snapshot tells")
        return records, [asked]

    def _make_answer(self, target: TargetPlan, built: TargetResult, planned: TargetResult) -> tuple[Any, ...] | None:
        """Return what a later process checks and prints for one target; None for what it should not answer."""
        if not _is_plain_hit(built) or built.result is None or built.path is None:
            return None
        stamp = read_stamp(target.label, self._session.output_root)
        outputs = []
        for name, blob in _list_files(built.result).items():
            digest, *state = stamp.get(name, [None])
            if digest != blob:
                return None
            outputs.append((name, *state))
        results = [each.decision.result for each in target.actions if isinstance(each.decision, Hit)]
        cas = Path(self._tiers[0], CAS)
        layout = self._session.cache.local.layout
        blobs = {
            layout.blob(blob.digest).relative_to(cas).as_posix(): blob.size for each in results for blob in each.blobs
        }
        lost = (say_lost_rows(built, Ink(False)), say_lost_rows(built, Ink(True))) if built.rows_lost else None
        rows = count(built.rows or 0, "row")
        documents = tuple(_indent(describe_build(_alone(each), self._session.root)) for each in (built, planned))
        return (
            built.path.relative_to(self._session.root).as_posix(),
            tuple(outputs),
            tuple(blobs.items()),
            say_label(target.label),
            rows,
            planned.saved.requests,
            lost,
            documents,
        )

    def _merge(
        self,
        caller: Any,
        current_folder: str | None,
        said: str,
        inputs: tuple[Any, ...],
        records: dict[int, bytes],
    ) -> tuple[Any, ...]:
        """Add what an earlier snapshot has of other targets, if it still holds, and return the inputs of both."""
        try:
            old = open_snapshot(self._root, caller)
        except (OSError, ValueError, EOFError, TypeError):
            return inputs
        try:
            same = (old.current_folder, old.said, tuple(old.tiers)) == (current_folder, said, self._tiers)
            if not same or index_labels(old.labels) != [str(label) for label in self._all]:
                return inputs
            if not _can_hold(old):
                return inputs
            records.update(_carry(records, old, len(self._all)))
            return _unite(inputs, old.inputs)
        finally:
            old.close()

    def _is_ours(self, path: str) -> bool:
        """Whether a path is the cache's, or what builds write in the workspace."""
        return path in self._our_folders or path.startswith(self._our_places)


def _is_plain_hit(target: TargetResult) -> bool:
    return target.status == "hit" and target.tier == "local"


def _is_as_before(target: TargetResult) -> bool:
    """Whether the next build will say the same of a target as this one did."""
    return target.tier != "shared" and target.status != "cutoff" and all(run.status == "hit" for run in target.actions)


def _find_outcome(target: TargetPlan) -> Outcome | None:
    """Return what the scheduler makes of a target that has nothing to run; None for one that may have."""
    hits = [each for each in target.actions if isinstance(each.decision, Hit)]
    if not isinstance(target.decision, Hit) or target.decision.result.rows == 0:
        return None
    return Outcome(
        "hit",
        results=[each.decision.result for each in hits if isinstance(each.decision, Hit)],
        runs=[ActionRun(each.action.kind, "hit") for each in hits],
        tier=target.decision.tier,
    )


def _list_files(result: ActionResult) -> dict[str, str]:
    """Return the files that are materialized of a result, with their digests."""
    return {DATA_FILE: result.output.digest} | {
        name: blob.digest for name, blob in result.files.items() if is_media(name)
    }


def _list_keys(target: TargetPlan) -> list[str]:
    keys: list[str] = []
    for each in target.actions:
        found = each.decision.result if isinstance(each.decision, Hit) else None
        keys += [str(each.deep_key), str(each.content_key)]
        keys += [found.key, found.deep_key] if found is not None else []
    return list(dict.fromkeys(keys))


def _gather_steps(reads: Reads, local: Tier, shared: Tier | None) -> dict[str, list[tuple[int, str, Any]]]:
    """Return, by key, each record of a result that was looked for in a tier: (tier, path, signature).

    That is also whatever lies beside it: of a newer schema, or the result of a later attempt.
    """
    steps: dict[str, list[tuple[int, str, Any]]] = {}
    for number, tier in enumerate((local, shared)):
        if tier is None:
            continue
        actions = f"{tier.folder}/{ACTIONS}/"
        for path, signature in reads.seen.items():
            if path.startswith(actions):
                below = path[len(actions) :]
                shard, _, name = below.partition("/")
                if name:
                    steps.setdefault(shard + name[:30], []).append((number, below, signature))
    return steps


def _alone(target: TargetResult) -> BuildResult:
    return BuildResult(targets={target.label: target}, seconds=0.0, exit_code=0)


def _indent(document: dict[str, Any]) -> str:
    """Return the one target of a JSON document as its lines stand in one of several."""
    text = json.dumps(document["targets"][0], indent=2, ensure_ascii=False, allow_nan=False)
    return "    " + text.replace("\n", "\n    ")


def _can_hold(old: Snapshot) -> bool:
    try:
        return inputs_hold(old.inputs)
    except Exception:
        return False


def _carry(records: dict[int, bytes], old: Snapshot, count: int) -> dict[int, bytes]:
    """Return what of an old snapshot goes on beside the new `records`.

    That are the answers of targets which this time were only ancestors, and the records of targets that were not
    looked at: none that has an ancestor whose own record is another one now.
    """
    carried: dict[int, bytes] = {}
    before = {number: record for number in range(count) if (record := old.read(number)) is not None}
    sound: dict[int, bool] = {}
    for number, raw in records.items():
        parents, group, steps, answer = marshal.loads(raw)
        sound[number] = number in before and before[number][:3] == (parents, group, steps) and group < 0
        if sound[number] and answer is None:
            carried[number] = marshal.dumps((parents, group, steps, before[number][3]))
    for number in before:
        stack = [number]
        while stack:
            top = stack[-1]
            parents = before[top][0] if top in before else ()
            unknown = [parent for parent in parents if parent not in sound]
            if top not in sound and unknown:
                stack += unknown
                continue
            stack.pop()
            sound.setdefault(top, top in before and before[top][1] < 0 and all(sound[parent] for parent in parents))
        if number not in records and sound[number]:
            carried[number] = old.read_raw(number)
    return carried


def _unite(new: tuple[Any, ...], old: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the inputs of two snapshots that both hold; where both name something the new one counts."""
    keys: list[Callable[[Any], Any]] = [
        *(_first, _first, _whole, _whole, _first_two, _first, _first_two, _first),
    ]
    united: list[Any] = []
    unsure = {each[0] for each in (*new[1], *old[1])}
    for position, key in enumerate(keys):
        entries = {key(each): each for each in old[position]} | {key(each): each for each in new[position]}
        if position == 0:
            entries = {name: each for name, each in entries.items() if name not in unsure}
        united.append(tuple(entries.values()))
    return (*united, new[8] if new[8] is not None else old[8])


def _whole(entry: Any) -> Any:
    return entry


def _first(entry: Any) -> Any:
    return entry[0]


def _first_two(entry: Any) -> Any:
    return tuple(entry[:2])


def _close(file: int) -> None:
    try:
        os.close(file)
    except OSError:
        # It was closed with the stream that wrote to it.
        return
