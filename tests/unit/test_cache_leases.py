import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from cache_support import FailingDisk, QuickDisk, key_of, open_cache
from ddbuild.cache.disk import Disk
from ddbuild.cache.layout import Layout
from ddbuild.cache.lease import Leases, Watch, acquire
from ddbuild.cache.process import Process, name_for_this_process, owner_of_name, this_process
from ddbuild.cache.publish import Publisher
from ddbuild.errors import InterruptedBuildError

KEY = key_of("personas")


class Host:
    """One host's view of a folder of leases, with a clock of its own."""

    def __init__(self, folder, disk=None, **times):
        self.now = 1000.0
        layout, disk = Layout(folder), disk or QuickDisk()
        publisher = Publisher(layout, disk, for_team=True)
        self.leases = Leases(layout, disk, publisher, clock=lambda: self.now, **times)
        self.path = layout.lease(KEY)
        self.watch = Watch()

    def try_acquire(self):
        return self.leases.try_acquire(KEY, self.watch)


@pytest.fixture
def folder(tmp_path):
    return tmp_path


def write_lease(folder, process, id="someone"):
    path = Layout(folder).lease(KEY)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'{{"id": "{id}", "machine": "{process.machine}", "pid": {process.pid}, "started": {process.started}, '
        '"host": "elsewhere", "user": "ann"}'
    )
    return path


FOREIGN = Process("0" * 12, 4711, 1)


def test_second_builder_waits_until_the_first_lets_go(folder):
    a, b = Host(folder), Host(folder)
    lease = a.try_acquire()
    assert lease.is_held
    assert b.try_acquire() is None
    assert b.watch.holder.process == this_process()
    lease.release()
    assert not lease.is_held
    with b.try_acquire() as second:
        assert second.is_held
    assert not b.path.exists()


def test_lost_reply_does_not_make_a_builder_wait_for_itself(folder):
    class LossyDisk(QuickDisk):
        def link(self, source, destination):
            super().link(source, destination)
            super().link(source, destination)  # the request is sent again

    assert Host(folder, LossyDisk()).try_acquire().is_held


def test_holder_elsewhere_is_given_its_time(folder):
    write_lease(folder, FOREIGN)
    host = Host(folder)
    for _ in range(10):
        assert host.try_acquire() is None
        host.now += 1.4
    host.now += 1.4
    assert host.try_acquire().is_held


def test_beating_holder_is_never_overtaken(folder):
    path = write_lease(folder, FOREIGN)
    host = Host(folder)
    for beat in range(20):
        assert host.try_acquire() is None
        # The other host's clock is wrong by years; only that its time changes counts.
        os.utime(path, (beat, beat))
        host.now += 14


def test_beat_between_the_look_and_the_removal_saves_the_holder(folder):
    path = write_lease(folder, FOREIGN)

    class SlowDisk(QuickDisk):
        def rename(self, source, destination):
            if source == path:
                os.utime(path, (1, 1))
            super().rename(source, destination)

    host = Host(folder, SlowDisk())
    host.try_acquire()
    host.now += 100
    assert host.try_acquire() is None
    assert '"someone"' in path.read_text()


def test_dead_holder_on_this_machine_delays_nobody(folder):
    holder = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    process = Process(this_process().machine, holder.pid, int(Path(f"/proc/{holder.pid}/stat").read_text().split()[21]))
    write_lease(folder, process)
    host = Host(folder)
    assert host.try_acquire() is None
    holder.kill()
    assert _is_soon(lambda: process.is_gone)  # a zombie until it is waited for
    assert host.try_acquire().is_held
    holder.wait()


def test_number_of_an_ended_process_that_is_used_again_is_no_holder(folder):
    me = this_process()
    write_lease(folder, Process(me.machine, me.pid, me.started + 1))
    assert Host(folder).try_acquire().is_held


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"pid": "x"}', "\0" * 100, "x" * 5000])
def test_lease_that_cannot_be_read_expires(folder, text):
    write_lease(folder, FOREIGN).write_text(text)
    host = Host(folder)
    assert host.try_acquire() is None
    host.now += 16
    assert host.try_acquire().is_held


def test_two_who_overtake_at_once_leave_one_holder(folder):
    write_lease(folder, FOREIGN)
    a, b = Host(folder), Host(folder)
    a.try_acquire(), b.try_acquire()
    a.now += 16
    b.now += 16
    first = a.try_acquire()
    assert b.try_acquire() is None
    assert first.is_held


def test_overtaken_holder_does_not_remove_the_new_one(folder):
    a, b = Host(folder), Host(folder)
    lost = a.try_acquire()
    b.try_acquire()
    b.now += 16
    lease = b.try_acquire()
    assert not lost.is_held
    lost.release()
    assert lease.is_held


def test_heartbeat_changes_the_time_of_own_leases_only(folder):
    a = Host(folder, beat_seconds=0.02)
    lease = a.try_acquire()
    os.utime(a.path, (1, 1))
    assert _is_soon(lambda: a.path.stat().st_mtime > 1)
    a.path.unlink()
    write_lease(folder, FOREIGN)
    os.utime(a.path, (1, 1))
    time.sleep(0.1)
    assert a.path.stat().st_mtime == 1
    lease.release()
    assert a.path.exists()


def test_one_thread_beats_for_all_leases_and_ends_with_them(folder):
    leases = Host(folder, beat_seconds=0.02).leases

    def count():
        return sum(
            thread.name == "ddbuild leases" and thread._target == leases._beat_on for thread in threading.enumerate()
        )

    held = [leases.try_acquire(key_of(str(number)), Watch()) for number in range(10)]
    assert count() == 1
    for lease in held:
        lease.release()
    assert _is_soon(lambda: count() == 0)
    assert leases.try_acquire(KEY, Watch()).is_held
    assert count() == 1


def test_forked_child_does_not_release_its_parents_lease(folder):
    lease = Host(folder).try_acquire()
    child = os.fork()
    if child == 0:
        lease.release()
        os._exit(0)
    os.waitpid(child, 0)
    assert lease.is_held


def test_waiting_tells_each_holder_once_and_can_be_cancelled(folder):
    write_lease(folder, FOREIGN)
    host = Host(folder)
    told, rounds = [], []

    def is_cancelled():
        rounds.append(None)
        return len(rounds) == 3

    with pytest.raises(InterruptedBuildError):
        acquire(lambda watch: host.leases.try_acquire(KEY, watch), wait=told.append, cancelled=is_cancelled)
    assert [str(holder) for holder in told] == ["process 4711 of `ann` on `elsewhere`"]


def test_name_of_a_holder_holds_nothing_that_a_terminal_obeys(folder):
    path = write_lease(folder, FOREIGN)
    path.write_text(path.read_text().replace("elsewhere", "\\u001b[31mred"))
    host = Host(folder)
    host.try_acquire()
    assert str(host.watch.holder) == "process 4711 of `ann` on `[31mred`"


def test_waiting_builder_goes_on_when_the_first_has_finished(tmp_path):
    a, b = open_cache(tmp_path, "a"), open_cache(tmp_path, "b")
    first = a.lease(KEY)
    order = []

    def build():
        with b.lease(KEY, wait=lambda holder: order.append("waits")) as lease:
            order.append("has it" if lease.is_held else "has none")

    thread = threading.Thread(target=build)
    thread.start()
    assert _is_soon(lambda: order == ["waits"])
    order.append("lets go")
    first.release()
    thread.join(10)
    assert order == ["waits", "lets go", "has it"]


def test_cancelled_builder_holds_nothing(tmp_path):
    a, b = open_cache(tmp_path, "a"), open_cache(tmp_path, "b")
    with a.lease(KEY):
        with pytest.raises(InterruptedBuildError):
            b.lease(KEY, cancelled=lambda: True)
        assert list((tmp_path / "b/v1/leases").iterdir()) == []


def test_folder_where_leases_cannot_be_made_is_built_in_without(tmp_path):
    warnings = []
    disk = FailingDisk(lambda name, arguments: 30 if name == "open_new" else None)
    with open_cache(tmp_path, disk=disk, warnings=warnings).lease(KEY) as lease:
        assert not lease.is_held
    assert len(warnings) == 2


def test_leases_of_ended_processes_are_swept(tmp_path):
    me = this_process()
    path = write_lease(tmp_path / "mine", Process(me.machine, me.pid, me.started + 1))
    foreign = path.with_name(key_of("foreign"))
    write_lease(tmp_path / "mine", FOREIGN).rename(foreign)
    write_lease(tmp_path / "mine", Process(me.machine, me.pid, me.started + 1))
    open_cache(tmp_path, "mine").put_bytes(b"x")
    assert list(path.parent.iterdir()) == [foreign]


# Processes


def test_name_tells_whose_it_is():
    assert owner_of_name(name_for_this_process()) == this_process()
    assert owner_of_name(f"attempt-{name_for_this_process()}") == this_process()
    for name in ("", "x", "attempt-left." + name_for_this_process(), name_for_this_process() + ".x"):
        assert owner_of_name(name) is None


def test_process_that_cannot_be_seen_is_not_called_gone():
    me = this_process()
    assert not me.is_gone
    assert not FOREIGN.is_gone
    assert not Process(me.machine, 1, 0).is_gone
    assert Process(me.machine, os.getppid(), me.started + 10**6).is_gone  # its number is used again
    assert not Process(me.machine, 10**9 * 9, 1).is_gone
    assert Process(me.machine, 2**22 + 1, 1).is_gone


def _is_soon(condition):
    for _ in range(1000):
        if condition():
            return True
        time.sleep(0.01)
    return False


def test_lost_lease_of_a_real_disk_is_noticed(folder):
    host = Host(folder, Disk())
    lease = host.try_acquire()
    host.path.unlink()
    assert not lease.is_held
    lease.release()
