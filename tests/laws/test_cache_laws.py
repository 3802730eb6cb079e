"""The cache against a model of dictionaries: two machines, a team's folder, and whatever may happen to files.

The law: a lookup gives the result that the rules name, whole, and never other bytes than were put.
"""

import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

sys.path.insert(0, str(Path(__file__).parents[1]))
from cache_support import QuickDisk, key_of, make_quick_folder, make_result
from ddbuild.cache.cache import Cache, CacheMissError
from ddbuild.cache.result import Blob
from ddbuild.cache.tier import Tier
from ddbuild.digest import digest_bytes

MACHINES = ("a", "b")
TIERS = (*MACHINES, "team")
KEYS = ("k0", "k1")
TEXTS = ("red", "green", "blue")

machines = st.sampled_from(MACHINES)
tiers = st.sampled_from(TIERS)
keys = st.sampled_from(KEYS)
texts = st.sampled_from(TEXTS)
retries = st.sampled_from((0, 0, 0, 1))


@dataclass
class Model:
    """One tier: which text each name leads to (None: damaged), and how each blob is ("good", "short", "changed")."""

    names: dict = field(default_factory=dict)
    blobs: dict = field(default_factory=dict)

    def has(self, text):
        return self.blobs.get(text) in ("good", "changed")


class CacheAgainstDictionaries(RuleBasedStateMachine):
    """Rules act on the files and on the model alike; after each step every lookup is compared."""

    @initialize()
    def open(self):
        self.closing = ExitStack()
        self.folder = self.closing.enter_context(make_quick_folder())
        self.model = {name: Model() for name in TIERS}
        self.online = dict.fromkeys(MACHINES, True)
        self.writable = True

    def teardown(self):
        if hasattr(self, "closing"):
            self.closing.close()

    # The real thing

    def tier(self, name):
        return Tier(self.folder / name, "shared" if name == "team" else "local", disk=QuickDisk())

    def cache(self, machine):
        shared = Tier(self.folder / "team", "shared", self.writable, disk=QuickDisk()) if self.online[machine] else None
        return Cache(self.tier(machine), shared)

    @staticmethod
    def result(key, deep, text, retry):
        blob = Blob(digest=digest_bytes(text.encode()), size=len(text))
        return make_result(blob, key_of(key), deep_key=key_of(deep), retry=retry)

    def blob_of(self, text):
        return self.result("k0", "k0", text, 0).output

    # The rules between the tiers, as the model has them

    def seen(self, machine):
        """The tiers that a machine looks into."""
        return [self.model[machine], *([self.model["team"]] if self.online[machine] else [])]

    def is_whole(self, machine, text):
        return text is not None and any(model.has(text) for model in self.seen(machine))

    def expected(self, machine, name, retry):
        """Return the text that counts under a name, which may not be whole; None for none."""
        here = self.model[machine].names.get((name, retry))
        there = None
        if self.online[machine]:
            there = self.model["team"].names.get((name, retry))
            if there is None and here is not None and name.startswith("deep"):
                there = self.model["team"].names.get((name.removeprefix("deep "), retry))
        if there is None or (here is not None and here == there):
            return here
        if here is None or self.is_whole(machine, there) or not self.is_whole(machine, here):
            return there
        return here

    def adopt(self, machine, name, retry):
        """A look has the effect that the machine notes what the team says."""
        text = self.expected(machine, name, retry)
        if text is not None and text != self.model[machine].names.get((name, retry)):
            self.model[machine].names[name, retry] = text

    # What happens

    @rule(machine=machines, key=keys, text=texts, retry=retries)
    def build(self, machine, key, text, retry):
        cache, local, team = self.cache(machine), self.model[machine], self.model["team"]
        blob = cache.put_bytes(text.encode())
        if local.blobs.get(text) != "changed":  # its size is right: nobody has noticed
            local.blobs[text] = "good"
        result = self.result(key, f"deep {key}", text, retry)
        assert result.output == blob
        kept = local.names.get((key, retry))
        if not self.is_whole(machine, kept):
            kept = local.names[key, retry] = text
        effective = kept
        fails = False
        if self.online[machine]:
            there = team.names.get((key, retry))
            if there is not None and not (team.has(there) or local.has(there)):
                there = None
            if self.writable:
                upload = there or kept
                if not team.has(upload):
                    if local.blobs.get(upload) == "changed":
                        del local.blobs[upload]
                        fails = True
                    else:
                        team.blobs[upload] = "good"
                if not fails:
                    if there is None:
                        there = team.names[key, retry] = kept
                    alias = team.names.get((f"deep {key}", retry))
                    if alias is None or not (team.has(alias) or local.has(alias)):
                        team.names[f"deep {key}", retry] = there
            effective = there or kept
        if fails:
            try:
                cache.publish(result)
            except CacheMissError:
                return
            raise AssertionError("a damaged blob was given to the team")
        assert cache.publish(result).output == self.blob_of(effective)
        local.names[key, retry] = local.names["deep " + key, retry] = effective

    @rule(machine=machines, key=keys, retry=retries, deep=st.booleans())
    def use(self, machine, key, retry, deep):
        name = f"deep {key}" if deep else key
        cache, local, team = self.cache(machine), self.model[machine], self.model["team"]
        found = cache.lookup(key_of(name), retry)
        self.adopt(machine, name, retry)
        if found is None:
            return
        text = self.expected(machine, name, retry)
        try:
            data = cache.fetch(found[0].output).read_bytes()
        except CacheMissError:
            assert not local.has(text) and team.blobs.get(text) == "changed"
            if self.writable:
                del team.blobs[text]
            return
        if not local.has(text):
            assert team.blobs[text] == "good"
            local.blobs[text] = "good"
        if local.blobs[text] == "good":
            assert data == text.encode()

    @rule(name=tiers, text=texts)
    def evict(self, name, text):
        self.tier(name).blob_path(self.blob_of(text)).unlink(missing_ok=True)
        self.model[name].blobs.pop(text, None)

    @rule(name=tiers, text=texts, short=st.booleans())
    def damage_blob(self, name, text, short):
        path = self.tier(name).blob_path(self.blob_of(text))
        if path.exists():
            data = path.read_bytes()
            path.chmod(0o644)
            path.write_bytes(data[:-1] if short else b"X" * len(text))
            if self.model[name].blobs[text] != "short":
                self.model[name].blobs[text] = "short" if short else "changed"
            elif not short:
                self.model[name].blobs[text] = "changed"

    @rule(name=tiers, key=keys, retry=retries, deep=st.booleans(), kept=st.integers(0, 300))
    def tear_result(self, name, key, retry, deep, kept):
        called = f"deep {key}" if deep else key
        path = self.tier(name).layout.action(key_of(called), retry)
        if path.exists():
            data = path.read_bytes()[:kept]
            path.chmod(0o644)
            path.write_bytes(data)
            self.model[name].names[called, retry] = None

    @rule(name=tiers, key=keys, retry=retries)
    def forget_result(self, name, key, retry):
        self.tier(name).layout.action(key_of(key), retry).unlink(missing_ok=True)
        self.model[name].names.pop((key, retry), None)

    @rule(machine=machines)
    def verify(self, machine):
        cache = self.cache(machine)
        for text in TEXTS:
            assert cache.verify(self.blob_of(text)) == (self.model[machine].blobs.get(text) == "good")
            if self.model[machine].blobs.get(text) in ("short", "changed"):
                del self.model[machine].blobs[text]

    @rule(machine=machines, online=st.booleans())
    def connect(self, machine, online):
        self.online[machine] = online

    @rule(writable=st.booleans())
    def protect(self, writable):
        self.writable = writable

    # The law

    @invariant()
    def lookups_are_as_the_rules_say(self):
        if not hasattr(self, "folder"):
            return
        for machine in MACHINES:
            cache = self.cache(machine)
            cache.local.writable = False  # a look that leaves no trace
            for key in KEYS:
                for name in (key, f"deep {key}"):
                    for retry in (0, 1):
                        text = self.expected(machine, name, retry)
                        found = cache.find(key_of(name), retry)
                        assert (found and found[0].output) == (text and self.blob_of(text)), (machine, name, retry)
                        found = cache.lookup(key_of(name), retry)
                        whole = self.is_whole(machine, text)
                        assert (found is not None) == whole, (machine, name, retry)
                        if whole:
                            assert found[0].output == self.blob_of(text)
                            assert found[1] == ("local" if self.model[machine].has(text) else "shared")


CacheAgainstDictionaries.TestCase.settings = settings(
    max_examples=30, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
TestCacheAgainstDictionaries = CacheAgainstDictionaries.TestCase
