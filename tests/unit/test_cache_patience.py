import os
import threading

import pytest

from ddbuild.cache.patience import Patience


def test_answer_and_error_come_back():
    patience = Patience()
    assert patience.call(lambda: 42, 10) == 42
    assert patience.call(lambda: None, 10) is None
    with pytest.raises(KeyError):
        patience.call(lambda: {}["x"], 10)
    assert not patience.is_resting


def test_call_that_hangs_is_left_behind_and_no_other_is_made_for_a_while():
    now = 0.0
    patience = Patience(rest_seconds=60, clock=lambda: now)
    hung, late = threading.Event(), []
    with pytest.raises(TimeoutError):
        patience.call(lambda: hung.wait(20), 0.02, too_late=late.append)
    assert patience.is_resting
    hung.set()
    now = 61
    assert not patience.is_resting
    assert patience.call(lambda: "again", 10) == "again"
    for _ in range(1000):
        if late:
            break
        threading.Event().wait(0.01)
    assert late == [True]


def test_many_calls_at_once_do_not_wait_for_each_other():
    patience, barrier = Patience(), threading.Barrier(33)
    threads = [threading.Thread(target=lambda: patience.call(lambda: barrier.wait(20), 30)) for _ in range(32)]
    for thread in threads:
        thread.start()
    barrier.wait(20)
    for thread in threads:
        thread.join()


def test_threads_are_used_again():
    patience = Patience()
    names = {patience.call(threading.get_ident, 10) for _ in range(50)}
    assert len(names) == 1


def test_forked_child_has_threads_of_its_own():
    patience = Patience()
    patience.call(lambda: None, 10)
    child = os.fork()
    if child == 0:
        os._exit(patience.call(lambda: 7, 10))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
