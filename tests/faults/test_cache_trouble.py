"""The shared tier fails at each single call to its disk."""

import errno
import itertools
import shutil
import sys
from contextlib import suppress
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from cache_support import FailingDisk, QuickDisk, key_of, make_quick_folder, open_cache, publish, read_text
from ddbuild.cache.cache import Cache, CacheMissError
from ddbuild.cache.tier import Tier

KEY, DEEP = key_of("content"), key_of("deep")


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE])
def test_trouble_at_any_single_call_never_stops_a_build(code):
    """One call fails in each round, and everything after it works."""
    with make_quick_folder() as memory:
        for nth in itertools.count():
            folder = memory / str(nth)
            folder.mkdir()
            other_key, other_deep = key_of("other"), key_of("other deep")
            other = publish(open_cache(folder, "a", disk=QuickDisk()), other_key, "other", deep_key=other_deep)
            calls, last = itertools.count(), 0

            def fails(name, arguments, calls=calls, nth=nth):
                nonlocal last
                last = next(calls)
                return code if last == nth else None

            warnings = []
            b = Cache(
                Tier(folder / "b", "local", disk=QuickDisk()),
                Tier(folder / "team", "shared", disk=FailingDisk(fails)),
                warnings.append,
            )
            found = b.lookup(other_deep)
            if found is not None:
                with suppress(CacheMissError):
                    assert read_text(b, found[0]) == "other"
            with b.lease(KEY):
                result = publish(b, KEY, "mine", deep_key=DEEP)
            assert b.lookup(KEY)[0] == b.lookup(DEEP)[0] == result
            assert read_text(b, result) == "mine"
            assert len(warnings) <= 2, warnings
            # Whatever has reached the team is whole, and what was there still is.
            c = open_cache(folder, "c", disk=QuickDisk())
            assert c.lookup(other_key)[0] == other
            found = c.lookup(KEY)
            assert found is None or read_text(c, found[0]) == "mine"
            shutil.rmtree(folder)
            if last < nth:
                break
    assert nth > 40
