"""The records are a contract with other programs: names, defaults, tolerance."""

import hashlib
import json
import typing

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill import types
from distill.types import (
    Dropped,
    Example,
    Failed,
    Identity,
    Message,
    Problem,
    Rejected,
    Score,
    Trace,
    Verdict,
    hash_id,
)

ROWS: dict[type[msgspec.Struct], list[str]] = {
    Problem: (
        "id kind prompt answer source licence topic difficulty language choices tests gym"
    ).split(),
    Trace: (
        "series problem_id sample part model reasoning response text finish ending "
        "prompt_tokens completion_tokens seconds"
    ).split(),
    Verdict: "series problem_id sample status extracted expected checker".split(),
    Example: "series problem_id sample messages thinking tokens".split(),
    Dropped: "series problem_id sample reason evidence".split(),
    Score: (
        "benchmark model role metric value sampling_low sampling_high problems_low problems_high "
        "problems samples status_counts origin"
    ).split(),
    Failed: "series problem_id sample reason".split(),
    Rejected: "where reason".split(),
}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.__name__)
def test_a_row_has_the_fields_that_other_programs_read(row: type[msgspec.Struct]) -> None:
    assert set(ROWS[row]) <= set(row.__struct_fields__)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.__name__)
def test_a_field_added_since_has_a_default_so_that_old_runs_read(row: type[msgspec.Struct]) -> None:
    for field in msgspec.structs.fields(row):
        assert field.name in ROWS[row] or not field.required, field.name


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.__name__)
def test_rows_are_frozen(row: type[msgspec.Struct]) -> None:
    assert row.__struct_config__.frozen


def test_the_kinds_and_statuses_are_these() -> None:
    assert types.KINDS == ("math", "choice", "code", "gym", "judge", "open")
    assert types.STATUSES == (
        *("correct", "wrong", "no_answer"),
        *("timeout", "checker_error", "unchecked"),
    )
    assert typing.get_args(types.Finish) == ("stop", "length", "filtered", "aborted", "repetition")


def test_unknown_columns_are_ignored() -> None:
    line = b'{"id": "s/1", "prompt": "?", "later": {"version": 9}}'
    assert msgspec.json.decode(line, type=Problem) == Problem(id="s/1", prompt="?")


@pytest.mark.parametrize(
    "tests,cls",
    [
        ({"type": "stdin", "cases": [["1\n", "2\n"]]}, types.StdinTests),
        (
            {"type": "function", "entry": "Solution().f", "code": "def check(c): ..."},
            types.FunctionTests,
        ),
        ({"type": "command", "files": {"a.c": "int x;"}, "run": ["make"]}, types.CommandTests),
    ],
)
def test_tests_of_code_problems_are_told_apart_by_type(tests: object, cls: type) -> None:
    line = json.dumps({"id": "s/1", "prompt": "?", "kind": "code", "tests": tests})
    problem = msgspec.json.decode(line, type=Problem)
    assert isinstance(problem.tests, cls)
    assert json.loads(msgspec.json.encode(problem))["tests"] == tests


def test_the_identity_joins_every_file() -> None:
    same = {"series": "ab12", "problem_id": "s/1", "sample": 3}
    rows = [
        Trace(**same),  # type: ignore[arg-type]
        Verdict(**same, status="wrong"),  # type: ignore[arg-type]
        Example(**same, messages=[]),  # type: ignore[arg-type]
        Dropped(**same, reason="wrong"),  # type: ignore[arg-type]
    ]
    assert {row.identity for row in rows} == {Identity("ab12", "s/1", 3)}


def test_the_hash_id_is_sha256_over_the_json_array_of_kind_prompt_and_choices() -> None:
    payload = '["choice","Which? \u00e4",["a","b"]]'.encode()
    assert hash_id("s", "choice", "Which? \u00e4", ["a", "b"]) == (
        f"s/{hashlib.sha256(payload).hexdigest()[:16]}"
    )
    chat = [Message(role="user", content="Hi")]
    payload = b'["math",[{"role":"user","content":"Hi"}],null]'
    assert hash_id("s", "math", chat, None).endswith(hashlib.sha256(payload).hexdigest()[:16])


def test_the_text_of_a_chat_prompt_is_its_messages_by_line() -> None:
    chat = [Message(role="system", content="Be brief."), Message(role="user", content="Hi")]
    assert Problem(id="s/1", prompt=chat).text == "Be brief.\nHi"
    assert Problem(id="s/1", prompt="Hi").text == "Hi"


texts = st.text()


@given(
    st.builds(
        Trace,
        series=texts,
        problem_id=texts,
        sample=st.integers(0, 2**53),
        reasoning=st.none() | texts,
        response=texts,
        text=st.none() | texts,
        seconds=st.floats(0, 1e9),
    )
)
def test_a_trace_reads_back_as_it_was_written(trace: Trace) -> None:
    assert msgspec.json.decode(msgspec.json.encode(trace), type=Trace) == trace
