import pytest

from ddbuild.errors import UsageError
from ddbuild.label import Label, parse_label, parse_pattern


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("//qa/hard:judged", Label("qa/hard", "judged")),
        ("//qa/hard", Label("qa/hard", "hard")),
        ("//:judged", Label("", "judged")),
        (":judged", Label("here", "judged")),
        ("//v1.2-beta_x:a+b", Label("v1.2-beta_x", "a+b")),
    ],
)
def test_label_forms(text, label):
    assert parse_label(text, package="here") == label


def test_only_a_label_without_a_name_is_short():
    assert parse_label("//judged").short
    assert not parse_label("//judged:judged").short
    assert parse_label("//judged") == parse_label("//judged:judged")


@pytest.mark.parametrize("text", ["//a/...", "//a:all", "...", "-//a:b", "//..."])
def test_a_pattern_is_no_label(text):
    with pytest.raises(UsageError, match="one target is needed"):
        parse_label(text)


@pytest.mark.parametrize(
    "text",
    ["", "//", "//a//b", "//a/../b", "//../x:y", "/a:b", "//a:b:c", "//a:", "//a b", "//a/:c", "//.hidden", "a/b"],
)
def test_what_is_no_label_is_refused(text):
    with pytest.raises(UsageError):
        parse_pattern(text)


def test_a_bare_name_gets_a_hint_that_can_be_typed():
    with pytest.raises(UsageError) as caught:
        parse_pattern("judged")
    assert caught.value.hint == "write `//judged` from the workspace's root, or `:judged` in its own package"


def test_recursive_and_negative_patterns():
    pattern = parse_pattern("-//qa/...")
    assert (pattern.package, pattern.name, pattern.recursive, pattern.negative) == ("qa", None, True, True)
    assert parse_pattern("...", package="qa").package == "qa"
    assert parse_pattern("//qa/...:all").recursive
