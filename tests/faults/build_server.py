"""A process that has imported ddbuild and Data Designer, and runs each command line in a fork of itself.

So a build starts in a tenth of the time, and is a process of its own all the same: it dies alone, of a true SIGKILL.
Several run at once. Requests come as lines of JSON on stdin, `{"start": NAME, ...}` or `{"kill": NAME}`; for each
process that ends there is one line, `{"ended": NAME, "code": CODE}`, with a negative signal for one that was killed.
"""

import importlib
import itertools
import json
import os
import select
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))


def main():
    # Whatever a build imports on its way, so that it is imported once.
    for name in (
        *("data_designer.engine.dataset_builders.dataset_builder", "data_designer.engine.models.facade"),
        *("data_designer.config.custom_column", "duckdb", "pandas", "pyarrow.dataset", "pyarrow.pandas_compat"),
        *("ddbuild.building.api", "ddbuild.cli.build", "ddbuild.cli.group", "ddbuild.report.live"),
        *("ddbuild.report.choose", "ddbuild.report.encoding", "ddbuild.snapshot.take", "ddbuild.table.row_digest"),
        *("ddbuild.table.result_file", "ddbuild.table.unification"),
    ):
        importlib.import_module(name)
    importlib.import_module("data_designer.interface").DataDesigner  # is imported when it is asked for
    # Data Designer writes its settings into its home in place: a process that dies there leaves half a file.
    importlib.import_module("data_designer.config.default_model_settings").resolve_seed_default_model_settings()
    serve()


def serve():
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    names, rest = {}, b""
    answer(ready=True)
    while True:
        readable, _, _ = select.select([0, woken], [], [])
        if woken in readable:
            os.read(woken, 4096)
            reap(names)
        if 0 in readable:
            data = os.read(0, 65536)
            if not data:
                for pid in names:
                    os.kill(pid, signal.SIGKILL)
                return
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                serve_one(json.loads(line), names)


def serve_one(request, names):
    if "kill" in request:
        # Not yet waited for, so the number is still that of the process that is meant.
        for pid, name in names.items():
            if name == request["kill"]:
                os.kill(pid, signal.SIGKILL)
        return
    pid = os.fork()
    if not pid:
        run(request)
    names[pid] = request["start"]


def reap(names):
    for pid in list(names):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            answer(ended=names.pop(pid), code=os.waitstatus_to_exitcode(status))


def answer(**fields):
    print(json.dumps(fields), flush=True)


def run(request):
    code = 99
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for number, name in ((1, "out"), (2, "err")):
            file = os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(file, number)
            os.close(file)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.chdir(request["folder"])
        os.environ.update(request["environment"])
        if not request["leases"]:
            take_leases_away()
        if request["dies_at"] is not None:
            die_at_call(request["dies_at"], request["deaths"])
        from ddbuild.cli.main import run

        code = run(request["arguments"])
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


class NoLease:
    is_held = False

    def release(self):
        pass


def take_leases_away():
    """Let everybody build at once whatever they want to: correctness must not need leases."""
    from ddbuild.cache.cache import Cache

    Cache.lease = lambda self, key, **_: NoLease()


def die_at_call(number, deaths):
    """Kill this process before the call `number` by which its cache changes the disk, and note which call that was."""
    from cache_support import MUTATING
    from ddbuild.cache.disk import Disk

    calls = itertools.count()

    def watch(name):
        original = getattr(Disk, name)

        def method(self, *arguments):
            if next(calls) == number:
                file = os.open(deaths, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
                os.write(file, f"{name}\n".encode())
                os.kill(os.getpid(), signal.SIGKILL)
            return original(self, *arguments)

        setattr(Disk, name, method)

    for name in MUTATING:
        watch(name)


if __name__ == "__main__":
    main()
