import io
import threading

import pytest

from ddbuild.building.events import BuildPlanned, TargetFinished, TargetProgress, TargetStarted, TargetWaiting, Warned
from ddbuild.label import Label
from ddbuild.report.ink import Ink
from ddbuild.report.live import LiveProgress, Running, draw_lines
from ddbuild.report.progress import PlainProgress, QuietProgress

A = Label("", "a")
LONG = Label("qa", "questions")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Gone(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError

    def isatty(self) -> bool:
        return True


def play(progress, *events):
    for event in events:
        progress(event)


def test_plain_progress_has_a_line_for_each_start_and_end():
    stream = io.StringIO()
    play(
        PlainProgress(stream, Ink(False)),
        BuildPlanned(3, (A, LONG)),
        TargetStarted(A, "stage"),
        TargetProgress(A, "generate", 5, 10, 5),
        TargetStarted(LONG, "stage"),
        TargetWaiting(LONG, "alice on host1"),
        TargetFinished(A, "built", 8, 2, 12.34),
        TargetFinished(LONG, "failed", None, 0, 0.4, "`//qa:questions` lost too many rows"),
        TargetFinished(Label("", "c"), "cutoff", 3, 0, 0.01),
        TargetFinished(Label("", "d"), "skipped_empty_upstream", None, 0, 0.0),
    )
    assert stream.getvalue() == (
        "building   //a\n"
        "building   //qa:questions\n"
        "waiting    //qa:questions  alice on host1 builds the same\n"
        "built      //a  8 rows (2 lost)  12.3 s\n"
        "failed     //qa:questions  0.4 s  `//qa:questions` lost too many rows\n"
        "cutoff     //c  3 rows  its inputs came out equal\n"
        "skipped    //d\n"
    )


def test_plain_progress_gives_a_sign_of_life_now_and_then():
    stream, clock = io.StringIO(), Clock()
    progress = PlainProgress(stream, Ink(False), interval=60, clock=clock)
    progress(TargetStarted(A, "stage"))
    for rows in range(1, 200):
        clock.now += 1
        progress(TargetProgress(A, "generate", rows, 1000, rows))
    assert stream.getvalue().splitlines() == [
        "building   //a",
        "generating //a  60/1,000 rows  1 min 00 s",
        "generating //a  120/1,000 rows  2 min 00 s",
        "generating //a  180/1,000 rows  3 min 00 s",
    ]


def test_quiet_progress_tells_warnings_and_lost_rows_only():
    stream = io.StringIO()
    play(
        QuietProgress(stream, Ink(False)),
        TargetStarted(A, "stage"),
        TargetFinished(A, "built", 10, 0, 1.0),
        Warned("the shared cache is full"),
        TargetFinished(LONG, "built", 9, 1, 1.0),
    )
    assert stream.getvalue() == "warning: the shared cache is full\nbuilt      //qa:questions  9 rows (1 lost)  1.0 s\n"


@pytest.mark.parametrize("make", [PlainProgress, LiveProgress])
def test_the_same_warning_is_said_once(make):
    stream = io.StringIO()
    progress = make(stream, Ink(False))
    for text in ("full", "full", "slow"):
        progress.warn(text)
    assert stream.getvalue() == "warning: full\nwarning: slow\n"


@pytest.mark.parametrize("make", [PlainProgress, QuietProgress, LiveProgress])
def test_a_terminal_that_has_gone_stops_no_build(make):
    progress = make(Gone(), Ink(False))
    play(
        progress,
        BuildPlanned(1, (A,)),
        TargetStarted(A, "stage"),
        TargetFinished(A, "built", 1, 1, 0.1),
        Warned("full"),
    )
    progress.close()


def test_user_text_is_neither_markup_nor_control():
    stream = io.StringIO()
    progress = PlainProgress(stream, Ink(False))
    progress(TargetFinished(A, "failed", None, 0, 0.0, "[train] \x1b[2Jcleared\nsecond line"))
    assert stream.getvalue() == "failed     //a  [train] cleared\n"


def test_live_progress_leaves_only_finished_lines_and_the_cursor():
    stream = Terminal()
    progress = LiveProgress(stream, Ink(False))
    play(progress, BuildPlanned(2, (A,)), TargetStarted(A, "stage"), TargetProgress(A, "generate", 1, 10, 1))
    long = "/a/long/path" * 20 + "/[train]"
    progress.say(long)
    play(progress, TargetFinished(A, "built", 10, 0, 1.0))
    progress.close()
    progress.close()
    text = stream.getvalue()
    assert f"{long}\n" in text
    assert "built      //a  10 rows  1.0 s\n" in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")


def test_live_progress_never_draws_after_it_was_closed():
    stream = Terminal()
    progress = LiveProgress(stream, Ink(False))
    progress.close()
    play(progress, BuildPlanned(1, (A,)), TargetStarted(A, "stage"))
    assert stream.getvalue() == ""


def test_live_progress_can_be_told_things_from_many_threads_while_it_draws():
    progress = LiveProgress(Terminal(), Ink(False))
    play(progress, BuildPlanned(2, (A, LONG)), TargetStarted(A, "stage"))

    def work() -> None:
        for number in range(50):
            progress.say(f"line {number}")
            progress.warn(f"warning {number}")

    threads = [threading.Thread(target=work, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(200):
        progress(TargetProgress(A, "generate", number, 200, number))
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    progress.close()


def test_moving_lines_are_aligned():
    running = [
        Running(A, 98.0, TargetProgress(A, "generate", 3, 10, 6)),
        Running(LONG, 40.0, TargetProgress(LONG, "callback")),
        Running(Label("", "b"), 100.0),
        Running(Label("", "c"), 99.0, holder="alice on host1"),
    ]
    assert [line[2:] for line in draw_lines(running, 100.0, width=100, height=24)] == [
        "//a             generating                  ━━━╌╌╌╌╌╌╌  3/10 rows  6 requests  2 s",
        "//qa:questions  running the callback        1 min 00 s",
        "//b             starting                    0 s",
        "//c             waiting for alice on host1  1 s",
    ]


def test_no_more_lines_are_drawn_than_fit():
    running = [Running(Label("", f"t{number}"), 100.0) for number in range(40)]
    for height in (5, 10, 24, 100):
        drawn = draw_lines(running, 100.0, width=80, height=height, footer="1 of 41 targets done")
        assert len(drawn) < height
        assert len(drawn) <= 13
        assert drawn[-2] == f"  + {40 - (len(drawn) - 2)} more targets running"


def test_no_moving_line_is_wider_than_the_terminal():
    running = [Running(Label("a" * 50, "b" * 50), 100.0, TargetProgress(A, "generate", 3, 10, 6))]
    for width in (10, 40, 80):
        assert all(len(line) < width for line in draw_lines(running, 100.0, width=width, height=24))
