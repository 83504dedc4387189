"""Columns of anybody's set: which rows are chosen, where values stand, which answer is meant."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill import columns, jsonl
from distill.cards import ProblemSource
from distill.columns import Raws
from distill.latex import boxed


def raws(row: dict) -> Raws:
    return jsonl.decode(json.dumps(row).encode(), Raws)


WHERE = [
    ({"type": "a"}, {}, None),
    ({"type": ["a", "b"]}, {}, None),
    ({"type": "b"}, {}, "type"),
    ({"ok": True}, {}, None),
    ({"ok": 1}, {}, "ok"),  # true is not 1
    ({"n": 2}, {}, None),
    ({"n": "2"}, {}, "n"),
    ({"meta.level": 5, "type": "b"}, {}, "type"),
    ({"type": None}, {}, None),  # a null drops the condition
    ({}, {"n": [1, 2]}, "n"),
    ({}, {"n": [1, 3]}, None),
    ({"type": "a"}, {"ok": True}, "ok"),
    ({}, {"n": None}, None),
]


@pytest.mark.parametrize(("where", "where_not", "column"), WHERE)
def test_the_column_that_leaves_a_row_out_is_named(
    where: dict, where_not: dict, column: str | None
) -> None:
    row = raws({"type": "a", "ok": True, "n": 2, "meta": {"level": 5}})
    source = ProblemSource(file="x", where=where, where_not=where_not)
    assert columns.left_out(row, source) == column


def test_a_condition_on_a_column_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ValueError, match="no column 'typ'; it has type"):
        columns.left_out(raws({"type": "a"}), ProblemSource(file="x", where={"typ": "a"}))


PATHS = [
    ("a", b"1.50"),
    ("b.c", b'"deep"'),
    ("b.d.1", b"20"),
    ("e.0.content", b'"hi"'),
    ("x.y", b'"a name with a dot"'),
]


@pytest.mark.parametrize(("path", "value"), PATHS)
def test_a_path_leads_into_nested_columns_and_numbers_keep_their_spelling(
    path: str, value: bytes
) -> None:
    text = b'{"a": 1.50, "b": {"c": "deep", "d": [10, 20]}, "e": [{"content": "hi"}], '
    row = jsonl.decode(text + b'"x.y": "a name with a dot"}', Raws)
    source = ProblemSource(file="x", columns={"answer": path})
    assert bytes(columns.renamed(row, source)["answer"]) == value


@pytest.mark.parametrize("path", ["z", "b.z", "b.d.2", "b.d.-1", "b.d.x", "a.b", "b.c.d"])
def test_a_path_that_leads_nowhere_is_named(path: str) -> None:
    row = raws({"a": 1, "b": {"c": "deep", "d": [10, 20]}})
    with pytest.raises(ValueError, match=f"no column '{path}' .for 'answer'.; it has a, b"):
        columns.renamed(row, ProblemSource(file="x", columns={"answer": path}))


def test_several_columns_are_the_lines_of_a_text_or_the_choices() -> None:
    row = raws({"body": "Two and two.", "ask": "How many?", "A": "3", "B": "4", "none": None})
    source = ProblemSource(
        file="x", columns={"prompt": ["body", "none", "ask"], "choices": ["A", "B"]}
    )
    ours = columns.renamed(row, source)
    assert columns.text(ours["prompt"]) == "Two and two.\nHow many?"
    assert json.loads(bytes(ours["choices"])) == ["3", "4"]


def test_with_a_card_only_the_columns_that_it_names_are_taken() -> None:
    """A set's own `source` or `difficulty` means something else than ours."""
    row = raws({"problem": "p", "answer": "1", "difficulty": "Hard", "source": "aops"})
    assert set(columns.renamed(row, ProblemSource(card="gsm8k"))) == {"prompt", "answer"}
    assert "difficulty" in columns.renamed(row, ProblemSource(file="x"))


ANSWERS = [
    ({}, '" 0.5 "', "0.5"),
    ({}, "0.50", "0.50"),
    ({}, "null", None),
    ({"answer_after": "####"}, '"2+2=4\\n#### 1,234"', "1,234"),
    ({"answer_after": "####"}, '"a #### 1 #### 2"', "2"),
    ({"answer_in": "boxed"}, r'"so \\boxed{1}, no, \\boxed{\\frac{1}{2}}."', r"\frac{1}{2}"),
    ({"answer_in": "boxed"}, r'"\\boxed{\\{1, 2\\}}"', r"\{1, 2\}"),
    ({"answer_in": "boxed"}, r'["\\boxed{1}", "or \\boxed{2}"]', ["1", "2"]),
    ({"answer_in": "boxed"}, r'"\\boxed{}"', ""),  # how some sets end a proof
    ({"answer_in": "index"}, "2", "C"),
    ({"answer_in": "whole"}, r'"\\boxed{7}"', r"\boxed{7}"),
    ({"no_answer": ["proof"]}, '"proofs"', "proofs"),
]


@pytest.mark.parametrize(("how", "column", "answer"), ANSWERS)
def test_the_answer_is_found_as_the_source_says(how: dict, column: str, answer: object) -> None:
    raw = raws({"answer": None}) | {"answer": columns.msgspec.Raw(column.encode())}
    assert columns.answer(raw["answer"], ProblemSource(file="x", **how), 4) == answer


NO_ANSWERS = [
    ({"answer_after": "####"}, '"4"', "its column has no '####'"),
    ({"answer_in": "boxed"}, '"4"', r"its column has no \\boxed"),
    ({"answer_in": "index"}, "4", "answer 4 is no index .from 0. of 4 choices"),
    ({"answer_in": "index"}, "-1", "answer -1 is no index"),
    ({"answer_in": "index"}, '"C"', "answer C is no index"),
    ({"no_answer": ["proof", "notfound"]}, '"NotFound"', "no answer: the row says 'NotFound'"),
]


@pytest.mark.parametrize(("how", "column", "reason"), NO_ANSWERS)
def test_an_answer_that_cannot_be_found_says_why(how: dict, column: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        columns.answer(columns.msgspec.Raw(column.encode()), ProblemSource(file="x", **how), 4)


balanced = st.recursive(
    st.text(alphabet="ab1 +,^", max_size=5),
    lambda inner: st.lists(inner.map("{{{}}}".format) | inner, max_size=3).map("".join),
    max_leaves=10,
)


@given(balanced, balanced, balanced)
def test_what_stands_in_the_last_box_is_found_whatever_its_braces(
    before: str, content: str, after: str
) -> None:
    assert (
        boxed(f"{before} \\boxed{{0}} {before}\\boxed{{{content}}}{after}")[-1] == content.strip()
    )
