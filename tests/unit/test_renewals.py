from dataclasses import replace

import pytest

from ddbuild.digest import digest_of
from ddbuild.errors import BuildError
from ddbuild.keys import Action, ActionInput, Part
from ddbuild.label import Label
from ddbuild.plan.renewals import Renewals


def make_action(name="a", text="text", kind="generate", **options):
    return Action(Label("", name), kind, (Part("column", "c", digest_of(text)),), (), **options)


def test_an_action_that_was_never_renewed_is_as_it_was(tmp_path):
    action = make_action()
    assert Renewals(tmp_path).apply(action) is action
    assert not (tmp_path / ".ddbuild").exists()


def test_a_renewed_action_has_another_key_here_and_in_the_next_process(tmp_path):
    action, renewals = make_action(), Renewals(tmp_path)
    renewals.renew([action])
    renewed = renewals.apply(action)
    assert renewed.deep_key([]) != action.deep_key([])
    assert Renewals(tmp_path).apply(action) == renewed
    assert [part.part for part in renewed.parts] == ["column", "renewal"]


def test_renewed_twice_is_another_key_each_time(tmp_path):
    action, keys = make_action(), set()
    for _ in range(3):
        renewals = Renewals(tmp_path)
        renewals.renew([action])
        keys.add(renewals.apply(action).deep_key([]))
    assert len(keys) == 3


@pytest.mark.parametrize("other", [make_action(text="edited"), make_action("b"), make_action(kind="callback")])
def test_another_action_is_not_renewed_with_it(tmp_path, other):
    renewals = Renewals(tmp_path)
    renewals.renew([make_action()])
    assert renewals.apply(other) is other


def test_parents_and_numbers_of_records_do_not_matter(tmp_path):
    renewals = Renewals(tmp_path)
    renewals.renew([make_action(num_records=10)])
    other = replace(make_action(num_records=20), inputs=(ActionInput("seed", Label("", "p")),))
    assert renewals.apply(other) != other


def test_renewing_one_leaves_the_salts_of_others(tmp_path):
    first, second = make_action("a"), make_action("b")
    renewals = Renewals(tmp_path)
    renewals.renew([first])
    kept = renewals.apply(first)
    Renewals(tmp_path).renew([second])
    assert Renewals(tmp_path).apply(first) == kept
    assert Renewals(tmp_path).apply(second) != second


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 2, "salts": {"a": "b"}}', '{"schema": 1}', "null"])
def test_a_file_that_cannot_be_read_renews_nothing_and_can_be_written_over(tmp_path, text):
    file = tmp_path / ".ddbuild" / "renewals.json"
    file.parent.mkdir()
    file.write_text(text)
    action = make_action()
    renewals = Renewals(tmp_path)
    assert renewals.apply(action) is action
    renewals.renew([action])
    assert Renewals(tmp_path).apply(action) != action


def test_a_file_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / ".ddbuild").write_text("in the way")
    with pytest.raises(BuildError, match="it cannot be noted that new rows were asked for"):
        Renewals(tmp_path).renew([make_action()])
