import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddbuild.digest import digest_bytes, digest_file, digest_of, encode_canonical

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=4), inner, max_size=4)
        | st.frozensets(st.integers() | st.text(max_size=4), max_size=4)
    ),
    max_leaves=12,
)


def typed(value):
    """A value with its types, so that 1, 1.0 and True are told apart by ==, and 0.0 from -0.0."""
    if isinstance(value, (list, tuple)):
        return type(value).__name__, [typed(item) for item in value]
    if isinstance(value, dict):
        return "dict", sorted((name, repr(typed(item))) for name, item in value.items())
    if isinstance(value, frozenset):
        return "set", sorted(repr(typed(item)) for item in value)
    return type(value).__name__, repr(value)


@given(values, values)
def test_values_have_equal_encodings_only_if_they_are_equal(one, other):
    assert (encode_canonical(one) == encode_canonical(other)) == (typed(one) == typed(other))


@given(st.dictionaries(st.text(), st.integers()))
def test_the_order_of_a_dict_does_not_matter(mapping):
    assert digest_of(mapping) == digest_of(dict(reversed(mapping.items())))


def test_lists_and_tuples_differ_and_so_do_numbers_of_other_types():
    assert len({digest_of(value) for value in ([1], (1,), 1, 1.0, True, "1", b"1", None, 0.0, -0.0)}) == 10


def test_every_nan_is_the_same():
    assert digest_of(float("nan")) == digest_of(-float("nan"))


def test_an_unknown_type_is_refused_by_name():
    with pytest.raises(TypeError, match=r"`builtins\.object` has no canonical encoding"):
        digest_of({"x": [object()]})


def test_a_set_has_one_digest_under_any_hash_seed():
    code = "from ddbuild.digest import digest_of; print(digest_of({'alpha', 'beta', 'gamma', 'delta'}))"
    seen = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(seen) == 1


def test_a_file_has_the_digest_of_its_bytes(tmp_path):
    data = os.urandom(3_000_000)
    (tmp_path / "f").write_bytes(data)
    assert digest_file(tmp_path / "f") == digest_bytes(data)
    assert digest_bytes(b"") == "xxh3_128:99aa06d3014798d86001c324468d497f"
