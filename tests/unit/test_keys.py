from hypothesis import given
from hypothesis import strategies as st

from ddbuild.digest import digest_of
from ddbuild.keys import AS_THE_SEED, Action, ActionInput, Part, make_key
from ddbuild.label import Label

parts = st.lists(
    st.builds(Part, st.sampled_from("abc"), st.sampled_from("xyz"), st.integers().map(digest_of)), max_size=5
)


def action(*, kind="generate", parts=(), roles=("seed",), num_records=None, label="t"):
    inputs = tuple(ActionInput(role, Label("", role)) for role in roles)
    return Action(Label("", label), kind, tuple(parts), inputs, num_records=num_records)


@given(parts, st.randoms())
def test_the_order_of_parts_does_not_matter(some, random):
    shuffled = random.sample(some, len(some))
    assert make_key("k", some, []) == make_key("k", shuffled, [])


@given(parts, parts)
def test_other_parts_are_another_key(some, others):
    assert (make_key("k", some, []) == make_key("k", others, [])) == (sorted(some) == sorted(others))


def test_a_role_is_part_of_the_key_and_the_order_of_inputs_is_not():
    one = make_key("k", [], [("join:0", "A"), ("join:1", "B")])
    assert one == make_key("k", [], [("join:1", "B"), ("join:0", "A")])
    assert one != make_key("k", [], [("join:0", "B"), ("join:1", "A")])


def test_a_label_is_no_part_of_the_key():
    assert action(label="t").deep_key(["k"]) == action(label="renamed").deep_key(["k"])


def test_the_kind_is_part_of_the_key():
    assert action(kind="generate").deep_key(["k"]) != action(kind="process").deep_key(["k"])


def test_a_count_that_is_left_out_is_a_symbol_in_the_deep_key_and_the_seeds_count_in_the_content_key():
    left_out, said = action(num_records=AS_THE_SEED), action(num_records=10)
    assert left_out.deep_key(["k"]) != said.deep_key(["k"])
    assert left_out.content_key(["c"], 10) == said.content_key(["c"], 10)
    assert left_out.content_key(["c"], 11) != said.content_key(["c"], 10)
    assert said.content_key(["c"], 99) == said.content_key(["c"], 10)


def test_a_family_holds_all_counts_and_nothing_else():
    assert action(num_records=10).family(["c"]) == action(num_records=20).family(["c"])
    assert action(num_records=10).family(["c"]) != action(num_records=10).family(["d"])
    assert action(num_records=10).family(["c"]) != action(num_records=10).content_key(["c"], None)


def test_without_parents_both_keys_are_one():
    root = action(roles=(), num_records=10)
    assert root.deep_key([]) == root.content_key([], None)
