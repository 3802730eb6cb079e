"""Builders, readers and collections of garbage on one folder, each in a process of its own, that log what they do.

    python history_actors.py FOLDER SECONDS [careless] [MACHINE=TEAM...]

What is built are families of a parent and a child, whose rows repeat the parent's token. A careless builder takes
whatever child it finds, without a look at what that was made from: the checker has to notice. A machine has the
team's folder in FOLDER, or where the command line says.
"""

import json
import os
import random
import secrets
import sys
import time
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from cache_support import QuickDisk, key_of, make_result
from ddbuild.cache.actions import decode_result
from ddbuild.cache.cache import Cache, CacheMissError
from ddbuild.cache.gc import GcPolicy, collect_garbage
from ddbuild.cache.result import Input
from ddbuild.cache.tier import Tier
from ddbuild.digest import digest_bytes

MACHINES = ("a", "b")
FAMILIES = range(3)
GRACE = 0.2


class LoggingDisk(QuickDisk):
    """Logs whatever happens to a file in `actions/`."""

    def __init__(self, log):
        self.log = log

    def link(self, source, destination):
        self._give(super().link, "published", source, destination)

    def rename_exclusive(self, source, destination):
        self._give(super().rename_exclusive, "published", source, destination)

    def rename(self, source, destination):
        self._give(super().rename, "replaced", source, destination)

    def unlink(self, path):
        start = time.monotonic_ns()
        super().unlink(path)
        if is_action(path):
            self.log.write("removed", start, **place_of(path))

    def _give(self, act, op, source, destination):
        # Before the name is there, since it may be gone again right after.
        digest = decode_result(source.read_bytes()).digest if is_action(destination) else None
        start = time.monotonic_ns()
        act(source, destination)
        if is_action(source):
            self.log.write("removed", start, **place_of(source))
        if digest is not None:
            self.log.write(op, start, digest=digest, **place_of(destination))


def is_action(path):
    return path.parent.parent.name == "actions" and path.name.endswith(".json")


def place_of(path):
    return {"tier": path.parents[3].name, "name": path.parent.name + path.name}


class Log:
    def __init__(self, path):
        self.file = path.open("a")

    def write(self, op, start, **fields):
        event = {"op": op, "start": start, "end": time.monotonic_ns(), **fields}
        self.file.write(json.dumps(event) + "\n")


class Actor:
    def __init__(self, folder, name, machine, careless, team):
        self.log = Log(folder / f"{name}.log")
        disk = LoggingDisk(self.log)
        self.local = Tier(folder / machine, "local", disk=disk)
        self.shared = Tier(team, "shared", disk=disk)
        self.cache = Cache(self.local, self.shared)
        self.chance = random.Random(name)
        self.careless = careless

    def build(self):
        family = self.chance.choice(FAMILIES)
        parent = self.find(key_of(f"parent {family}"))
        if parent is None:
            parent = self.publish(key_of(f"parent {family}"), f"parent {secrets.token_hex(4)}")
        start = time.monotonic_ns()
        token = self.read(parent)
        self.log.write("rows", start, digest=parent.digest, token=token)
        key, deep_key = key_of(f"child {family} of {parent.digest}"), key_of(f"child {family}")
        child = self.find(deep_key if self.careless else key)
        if child is None:
            made = f"child {secrets.token_hex(4)}\n{token}"
            given = Input(role="seed", label="//:parent", key=parent.key, digest=parent.digest)
            child = self.publish(key, made, deep_key=deep_key, inputs=[given])
        self.serve(child)
        self.log.write("paired", time.monotonic_ns(), says=child.inputs[0].digest, parent=parent.digest)

    def look(self):
        child = self.find(key_of(f"child {self.chance.choice(FAMILIES)}"))
        if child is not None:
            self.serve(child)

    def serve(self, child):
        start = time.monotonic_ns()
        made_from = self.read(child).partition("\n")[2]
        self.log.write("served", start, says=child.inputs[0].digest, made_from=made_from)

    def collect(self):
        tier = self.chance.choice([self.shared, self.shared, self.local])
        collect_garbage(tier, GcPolicy(max_bytes=0, grace=GRACE))
        time.sleep(0.02)

    def find(self, key):
        for tier in (self.local, self.shared):
            start = time.monotonic_ns()
            result = tier.read_action(key)
            if result is not None:
                self.log.write("saw", start, digest=result.digest, **place_of(tier.layout.action(key, 0)))
        found = self.cache.lookup(key)
        return found and found[0]

    def publish(self, key, text, *, deep_key=None, inputs=()):
        files = {"metadata.json": self.cache.put_bytes(f"metadata of {text}".encode())}
        result = make_result(self.cache.put_bytes(text.encode()), key, deep_key=deep_key, files=files)
        return self.cache.publish(result.model_copy(update={"inputs": list(inputs)}))

    def read(self, result):
        """Return the rows, after all blobs were read."""
        for blob in result.blobs:
            start = time.monotonic_ns()
            try:
                data = self.cache.fetch(blob).read_bytes()
            except FileNotFoundError as error:  # collected between the two
                raise CacheMissError(blob) from error
            self.log.write("read", start, wanted=blob.digest, got=digest_bytes(data))
            if blob == result.output:
                text = data.decode()
        return text


def act(folder, name, machine, method, seconds, careless, team):
    actor = Actor(folder, name, machine, careless, team)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with suppress(CacheMissError):
            getattr(actor, method)()
    actor.log.file.close()


def main():
    folder, seconds, careless = Path(sys.argv[1]), float(sys.argv[2]), "careless" in sys.argv[3:]
    teams = dict.fromkeys(MACHINES, folder / "team")
    teams |= {name: Path(path) for name, given, path in (each.partition("=") for each in sys.argv[3:]) if given}
    actors = [(f"builder {n}", MACHINES[n % 2], "build") for n in range(3)]
    actors += [(f"reader {machine}", machine, "look") for machine in MACHINES]
    actors += [(f"collection {machine}", machine, "collect") for machine in MACHINES]
    children = []
    for name, machine, method in actors:
        child = os.fork()
        if not child:
            code = 1
            try:
                act(folder, name, machine, method, seconds, careless, teams[machine])
                code = 0
            finally:
                sys.stderr.flush()
                if code:
                    sys.excepthook(*sys.exc_info())
                os._exit(code)
        children.append(child)
    sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))


if __name__ == "__main__":
    main()
