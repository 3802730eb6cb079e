import json
import signal
import time

import pytest

SLOW = """
    import time
    from pathlib import Path
    import pyarrow as pa
    from ddbuild import transform

    def quick(files):
        return pa.table({"n": [1]})

    def slow(files):
        Path("started").touch()
        while not Path("go").exists():
            time.sleep(0.02)
        return pa.table({"n": [1]})

    transform("quick", quick)
    transform("slow", slow, depends_on=[":quick"])
"""
LOADING = """
    import time
    from pathlib import Path
    Path("started").touch()
    while not Path("go").exists():
        time.sleep(0.02)
"""


@pytest.fixture
def start(workspace):
    """Start a command and return its process once it is in the slow part."""
    processes = []

    def begin(build_file, *arguments):
        workspace.write("BUILD.py", build_file)
        process = workspace.start(*arguments)
        processes.append(process)
        while not (workspace.root / "started").exists():
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        return process

    yield begin
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("number", "again"),
    [(signal.SIGINT, "press Ctrl-C again to quit at once"), (signal.SIGTERM, "once more quits at once")],
)
def test_the_first_signal_stops_and_keeps_what_is_done(start, workspace, number, again):
    process = start(SLOW, "//slow")
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 8
    assert out == ""
    lines = err.splitlines()
    assert f"stopping; finished batches are kept ({again})" in lines
    assert lines[-1] == "interrupted: the same command goes on from here; finished batches are kept"
    assert lines[-2].startswith("built 1, interrupted 1 in ")
    assert workspace.run("//quick").err == "//quick is up to date (1 row, ddbuild-out/quick)\n"


def test_an_interrupted_build_still_prints_its_document(start):
    process = start(SLOW, "//slow", "--json")
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    document = json.loads(out)
    assert (document["ok"], document["exit_code"]) == (False, 8)
    assert [(each["label"], each["status"]) for each in document["targets"]] == [
        ("//:quick", "built"),
        ("//:slow", "interrupted"),
    ]


def test_the_second_signal_quits_at_once(start):
    process = start(SLOW, "//slow", "--json")
    assert process.stderr is not None
    process.send_signal(signal.SIGINT)
    while not process.stderr.readline().startswith("stopping"):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 8
    assert "interrupted: the same command goes on" not in err
    assert json.loads(out)["error"]["message"] == "the build was interrupted"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_build_files_are_read_leaves_no_traceback(start, number):
    process = start(LOADING, "//slow")
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (8, "", "error: interrupted\n")
