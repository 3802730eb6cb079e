"""Messages, losses and the log: what Data Designer says, and what becomes of it."""

import io
import logging
import sys

import pytest

from ddbuild.designer.active import current_run
from ddbuild.designer.logs import LogFile, RoutedLogs
from ddbuild.designer.losses import Losses
from ddbuild.designer.messages import clean, explain, find_solution, is_provider_error, redact

FRAMED = (
    "  |----------\n"
    "  | Provider message: no such field\n"
    "  | Cause: The request was malformed.\n"
    "  | Solution: Check your request parameters and try again.\n"
    "  |----------"
)


class ModelAuthenticationError(Exception):
    pass


def make_record(message, level=logging.WARNING):
    return logging.LogRecord("data_designer.engine", level, "x.py", 1, message, (), None)


def observe(*messages, error=None, level=logging.WARNING):
    losses = Losses()
    for message in messages:
        losses.observe(make_record(message, level), error)
    return losses


def test_text_loses_emoji_frames_and_line_breaks():
    assert clean("🛑 Failed\n  |-- ⚠️ twice  at 25 °C") == "Failed -- twice at 25 °C"
    assert clean("x" * 50, 10) == "xxxxxxx..."


def test_a_framed_error_is_told_by_its_cause_and_its_solution():
    error = Exception(FRAMED)
    assert explain(error) == "Exception: The request was malformed. (the provider says: no such field)"
    assert find_solution(error) == "Check your request parameters and try again"
    assert find_solution(Exception("nothing known")) is None


def test_an_error_without_words_is_told_by_its_kind():
    assert explain(ValueError()) == "ValueError"
    assert explain(KeyError("x")) == "KeyError: 'x'"


def test_provider_errors_are_found_behind_others():
    try:
        try:
            raise ModelAuthenticationError
        except ModelAuthenticationError as error:
            raise ValueError from error
    except ValueError as error:
        assert is_provider_error(error)
    assert not is_provider_error(ValueError())
    assert not is_provider_error(None)


@pytest.mark.parametrize("token", ["hf_abcdefghijklmnopqrst", "sk-abcdefghijklmnop", "nvapi-abcdefghijklmnop"])
def test_tokens_and_known_secrets_are_hidden(token):
    assert redact(f"key {token} and s3cret-word", ["s3cret-word"]) == "key *** and ***"
    assert redact("Authorization: Bearer abc.def.ghi.jkl", ()) == "Authorization: Bearer ***"


def test_reasons_are_grouped_by_column_and_text():
    error = ValueError("no b")
    losses = observe(
        "Non-retryable failure on text[rg=0, row=1]: no b",
        "Non-retryable failure on text[rg=0, row=2]: no b",
        "Non-retryable failure on late[rg=0, row=2]: the row is lost already",
        "Expression column 'copy' dropped 3/9 rows after render: EmptyRenderedExpression=3. Continuing with 6 rows.",
        error=error,
    )
    assert losses.summarize(6) == [
        (3, "expression `copy` rendered empty"),
        (2, "column `text`: ValueError: no b"),
        (1, "Data Designer gives no reason"),
    ]
    assert not losses.is_provider_trouble(6)


def test_the_counts_add_up_to_the_rows_that_are_lost():
    losses = observe("Expression column 'copy' dropped 9/9 rows after render: TypeCastError=9.")
    assert losses.summarize(4) == [(4, "expression `copy` was not of its dtype")]
    assert losses.summarize(0) == []


def test_retries_that_failed_in_the_end_are_provider_trouble():
    retried = "Observed retryable model-task error: kind=rate_limit, http_status=429; the row task will be deferred."
    losses = observe(retried, retried)
    assert losses.summarize(2) == [(2, "model requests failed again and again: rate limit (HTTP 429)")]
    assert losses.is_provider_trouble(2)
    assert not losses.is_provider_trouble(0)


def test_retries_that_came_to_a_good_end_are_no_provider_trouble():
    losses = observe(
        "Observed retryable model-task error: kind=timeout; the row task will be deferred.",
        "Non-retryable failure on text[rg=0, row=1]: bad",
        error=ValueError("bad"),
    )
    assert losses.summarize(1) == [(1, "column `text`: ValueError: bad")]
    assert not losses.is_provider_trouble(1)


def test_a_lost_batch_and_an_early_shutdown_explain_the_rest():
    losses = observe("Failed to checkpoint row group 3.", "Early shutdown triggered", error=OSError("disk full"))
    assert losses.early_shutdown
    assert losses.summarize(5) == [
        (5, "a batch could not be written: OSError: disk full; Data Designer stopped early, too many cells failed")
    ]
    assert losses.is_provider_trouble(5)


def test_a_failed_column_of_a_whole_batch_explains_its_rows():
    losses = observe("Non-retryable failure on seed[rg=0, row=None]: broken", error=ModelAuthenticationError("broken"))
    assert losses.summarize(7) == [(7, "column `seed`: ModelAuthenticationError: broken")]
    assert losses.is_provider_trouble(7)


def test_information_is_no_reason():
    assert observe("Early shutdown triggered", level=logging.INFO).summarize(1) == [
        (1, "Data Designer gives no reason")
    ]


class Run:
    def __init__(self, log):
        self.losses = Losses()
        self.write_line = log.write_line


@pytest.fixture
def logger():
    logger = logging.getLogger("data_designer.test")
    yield logger
    assert logging.getLogger("data_designer").propagate
    assert logging.getLogger("data_designer").level == logging.NOTSET
    assert logging.getLogger("data_designer").handlers == []


def test_records_of_a_run_go_to_its_file_and_others_where_they_went_before(logger, tmp_path):
    elsewhere = io.StringIO()
    handler = logging.StreamHandler(elsewhere)
    logging.getLogger().addHandler(handler)
    log = LogFile(tmp_path / "deep" / "x.log", lambda: {"s3cret-word"})
    outer, inner = RoutedLogs(), RoutedLogs()
    outer.enter()
    inner.enter()
    try:
        token = current_run.set(Run(log))
        logger.info("🎨 with s3cret-word")
        current_run.reset(token)
        inner.leave()
        logger.info("too quiet before, and still")
        logger.warning("somebody else")
    finally:
        outer.leave()
        logging.getLogger().removeHandler(handler)
    log.close()
    assert log.path.read_text().endswith(" INFO 🎨 with ***\n")
    assert elsewhere.getvalue() == "somebody else\n"


def test_the_error_behind_a_warning_is_seen_while_it_is_logged(logger, tmp_path):
    run = Run(LogFile(tmp_path / "x.log", set))
    logs = RoutedLogs()
    logs.enter()
    token = current_run.set(run)
    try:
        raise ModelAuthenticationError("no access")
    except ModelAuthenticationError:
        logger.warning("Non-retryable failure on text[rg=0, row=0]: no access")
    finally:
        current_run.reset(token)
        logs.leave()
    assert sys.exc_info()[1] is None
    assert run.losses.is_provider_trouble(1)


def test_a_log_that_cannot_be_written_costs_lines_and_not_the_run(tmp_path):
    (tmp_path / "file").write_text("")
    log = LogFile(tmp_path / "file" / "x.log", set)
    log.write_line("one\ntwo")
    log.close()
    log.write_line("after the end")
    assert list(log.last_lines) == ["one", "two"]
