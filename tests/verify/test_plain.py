"""Plain data as text: what comes through, and that nothing else does."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.verify.inside import plain

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**200), 2**200)
    | st.text()
    | st.floats(allow_nan=False)
    | st.binary()
    | st.complex_numbers(allow_nan=False)
)
HASHABLE = st.recursive(
    SCALARS,
    lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3),
    max_leaves=5,
)
DATA = st.recursive(
    HASHABLE,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(HASHABLE, inner, max_size=3)
        | st.sets(HASHABLE, max_size=3)
        | st.tuples(inner)
    ),
    max_leaves=10,
)


# Values can be large; hypothesis warns that showing one is slow.
@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")
@given(DATA)
def test_plain_data_comes_through_as_it_was(value: object) -> None:
    back = plain.unpack(plain.pack(value), {})
    assert back == value and repr(type(back)) == repr(type(value))


@given(
    st.recursive(
        st.none() | st.integers() | st.text() | st.sampled_from("tdszbycrqIKVEoxiDFT"),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from([*"tdszbycrqIKVEoxiDFTv"]), inner)
        ),
    )
)
def test_hostile_data_is_read_as_plain_data_or_refused(tree: object) -> None:
    kinds = {
        type(None),
        bool,
        int,
        float,
        complex,
        str,
        bytes,
        bytearray,
        list,
        tuple,
        dict,
        set,
        frozenset,
    }
    try:
        value = plain.unpack(json.dumps({"v": tree, "o": []}), {})
    except ValueError:
        return
    assert type(value) in kinds | {plain.Foreign, type} or type(value).__module__ in (
        "builtins",
        "collections",
        "decimal",
        "fractions",
    )
