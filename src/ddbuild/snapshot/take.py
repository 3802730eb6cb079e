"""Taking a snapshot: after a build that has left nothing to do, so that the next one can say so at once.

Owns which results a later process may answer with, and what of the cache they depend on. A snapshot is a convenience:
nothing here may stop a build or say anything.
"""

from __future__ import annotations

import json
import marshal
import os
import re
import secrets
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ddbuild.building.api import WorkspaceSession
from ddbuild.building.results import ActionRun, BuildResult, TargetResult
from ddbuild.building.scheduler import Outcome
from ddbuild.building.session import Session
from ddbuild.cache.result import ActionResult
from ddbuild.cache.tier import Tier
from ddbuild.cache.uses import name_request
from ddbuild.label import Label
from ddbuild.materialize import DATA_FILE, is_media, read_stamp
from ddbuild.plan.decision import Hit
from ddbuild.plan.planner import Plan, TargetPlan
from ddbuild.report.ink import Ink
from ddbuild.report.json_document import describe_build
from ddbuild.report.summary import say_lost_rows
from ddbuild.report.wording import count, say_label
from ddbuild.snapshot.answer import explain, is_wanted, latest_request
from ddbuild.snapshot.check import ACTIONS, CAS
from ddbuild.snapshot.hazards import find_hazards
from ddbuild.snapshot.inputs import NoSnapshotError, collect_inputs, list_above
from ddbuild.snapshot.merge import can_hold, carry, unite
from ddbuild.snapshot.record import FOLDER, index_labels, open_snapshot, write_snapshot
from ddbuild.workspace import Reads
from ddbuild.workspace.executed import Executed

__all__ = ["keep_snapshot", "prepare_snapshot"]

_STATE = ("history", "materialized", "logs", "snapshot", "cache", "preview")
"""What of `.ddbuild/` is written by builds, and no input of one."""

_ADDRESS = re.compile(r" at 0x[0-9a-f]+>")
_MOST_TEXT = 1 << 16
_MOST_USES = 64


def prepare_snapshot() -> None:
    """Have all noted that a snapshot needs, from now on: to be called before the workspace is loaded."""
    Executed.is_wanted = is_wanted() and latest_request() is not None


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
        self._tiers = (
            str(session.cache.local.folder),
            None if shared is None else str(shared.folder),
            shared is not None and shared.writable,
        )
        tiers = [tier for tier in self._tiers[:2] if tier is not None]
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
        self._check_code()
        folder = os.path.join(self._root, FOLDER)  # noqa: PTH118
        Path(folder).mkdir(parents=True, exist_ok=True)
        path = f"{folder}/.{secrets.token_hex(8)}"
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            # By the clock of the file system, which may be another machine's.
            moment = min(os.fstat(file).st_ctime_ns, time.time_ns())
            plan, results, looked = self._look()
            made = {folder for tier in self._tiers[:2] if tier is not None for folder in (tier, *list_above(tier))}
            inputs = collect_inputs(self._reads, moment, self._is_ours, made)
            current_folder = request.folder if self._reads.uses_current_folder else None
            records, groups = self._describe(plan, results, looked)
            name = name_request(str(os.getuid()), str(self._session.output_root), map(str, self._labels))
            uses = [(groups[0], name)]
            inputs = self._merge(request.caller, current_folder, said, inputs, records, uses)
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
                uses=uses,
                records=[records.get(number, b"") for number in range(len(self._all))],
                file=file,
                path=path,
            )
        except BaseException:
            _close(file)
            Path(path).unlink(missing_ok=True)
            raise

    def _check_code(self) -> None:
        """Refuse code that may come out differently another time."""
        executed = self._reads.executed
        if self._reads.surprises:
            raise NoSnapshotError("; ".join(sorted(self._reads.surprises)))
        if not executed.is_complete:
            raise NoSnapshotError("it is not known which functions ran")
        if any(_ADDRESS.search(target.salt or "") for target in self._session.graph.targets.values()):
            raise NoSnapshotError("a salt has an address in memory")
        if hazards := find_hazards(executed.list_code(), self._session.root):
            raise NoSnapshotError(hazards[0])

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
        for label in self._labels:
            output, told = outcomes[label].output if label in outcomes else None, self._result.targets[label]
            if (told.rows or 0) > 0 and (output is None or output.digest != told.digest):
                # To go on would put rows that nobody was told of into the workspace, beside those that were.
                raise NoSnapshotError(f"`{label}` has other rows meanwhile")
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
        uses: list[tuple[tuple[int, ...], str]],
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
            if not can_hold(old):
                return inputs
            records.update(carry(records, old, len(self._all)))
            uses += [each for each in old.uses if each[1] != uses[0][1]][:_MOST_USES]
            return unite(inputs, old.inputs)
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


def _close(file: int) -> None:
    try:
        os.close(file)
    except OSError:
        # It was closed with the stream that wrote to it.
        return
