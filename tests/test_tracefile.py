"""Any JSONL of model answers reads as problems and traces."""

import json
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from distill.tracefile import FileRow, read_trace_file, split_common
from distill.types import Kind, Rejected, hash_id


def read(path: Path, *lines: str, kind: Kind = "math") -> tuple[list[FileRow], list[Rejected]]:
    data = "".join(line + "\n" for line in lines).encode()
    path.write_bytes(zstandard.compress(data) if path.suffix == ".zst" else data)
    bad: list[Rejected] = []
    return list(read_trace_file(path, kind=kind, on_bad=bad.append)), bad


def one(tmp_path: Path, line: str) -> FileRow:
    rows, bad = read(tmp_path / "some.file.jsonl", line)
    assert not bad, bad
    return rows[0]


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.zst"])
def test_a_plain_and_a_compressed_file_read_the_same(tmp_path: Path, name: str) -> None:
    rows, bad = read(tmp_path / name, '{"id": 7, "answer": "2", "response": "\\\\boxed{2}"}')
    assert not bad
    problem, trace, given, extra, where = rows[0]
    assert (problem.id, problem.answer, problem.kind, trace.sample) == ("7", "2", "math", 0)
    assert (trace.response, trace.reasoning, trace.finish) == ("\\boxed{2}", None, "stop")
    assert (trace.completion_tokens, extra) == (0, {})
    assert given is not None and bytes(given) == b"7"
    assert where == f"{tmp_path / name}:1"


@pytest.mark.parametrize(
    ("source", "answer"),
    [
        ("0.50", "0.50"),
        ("1e3", "1e3"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("true", "true"),
        ('" x "', "x"),
        ('["1", 2.0]', ["1", "2.0"]),
    ],
)
def test_an_answer_keeps_its_source_text(
    tmp_path: Path, source: str, answer: str | list[str]
) -> None:
    assert one(tmp_path, f'{{"answer": {source}, "text": ""}}').problem.answer == answer


@pytest.mark.parametrize(
    ("columns", "problem_id", "sample"),
    [
        ({"problem_id": "p", "sample": 3, "id": "x"}, "p", 3),
        ({"problem_id": "p", "id": "x"}, "p", 0),
        ({"id": "x", "sample": 3}, "x", 0),
        ({"id": 7.50}, "7.5", 0),
        ({"prompt": "1+1?"}, hash_id("some", "math", "1+1?", None), 0),
        ({"question": "1+1?", "source": "mine"}, hash_id("mine", "math", "1+1?", None), 0),
        ({"problem": "1+1?", "id": None}, hash_id("some", "math", "1+1?", None), 0),
    ],
)
def test_identity_comes_from_problem_id_then_id_then_the_hash(
    tmp_path: Path, columns: dict[str, object], problem_id: str, sample: int
) -> None:
    row = one(tmp_path, json.dumps({**columns, "answer": "2", "response": "2"}))
    assert (row.problem.id, row.trace.problem_id, row.trace.sample) == (
        problem_id,
        problem_id,
        sample,
    )


def test_sample_counts_how_often_an_id_came_before(tmp_path: Path) -> None:
    ids = ["a", "b", "a", "a", "b"]
    lines = [json.dumps({"id": given, "answer": "2", "response": "2"}) for given in ids]
    rows, _ = read(tmp_path / "a.jsonl", *lines)
    assert [row.trace.sample for row in rows] == [0, 0, 1, 2, 1]


@pytest.mark.parametrize(
    ("columns", "finish"),
    [
        ({}, "stop"),
        ({"truncated": True}, "length"),
        ({"truncated": False}, "stop"),
        ({"finish": "length"}, "length"),
        ({"finish_reason": "length"}, "length"),
        ({"finish_reason": "content_filter"}, "filtered"),
        ({"finish_reason": "eos"}, "stop"),
        ({"finish_reason": None, "truncated": True}, "length"),
    ],
)
def test_how_a_reply_ended(tmp_path: Path, columns: dict[str, object], finish: str) -> None:
    row = one(tmp_path, json.dumps({**columns, "answer": "2", "response": "2"}))
    assert row.trace.finish == finish


@pytest.mark.parametrize(
    ("text", "reasoning", "response"),
    [
        ("<think>\na\n</think>\n\nb", "a", "b"),
        ("a</think>b", "a", "b"),
        ("<think>a", "a", ""),
        ("plain", None, "plain"),
        (
            "<|begin_of_thought|>\n\na\n\n<|end_of_thought|>\n\n"
            "<|begin_of_solution|>\n\nb\n\n<|end_of_solution|> c",
            "\na\n",
            "b",
        ),
        ("<|begin_of_thought|>a<|end_of_thought|>b", "a", "b"),
        ("[THINK]a[/THINK]b", "a", "b"),
    ],
)
def test_text_is_split_at_common_think_marks(
    text: str, reasoning: str | None, response: str
) -> None:
    assert split_common(text) == (reasoning, response)


def test_given_reasoning_is_left_alone(tmp_path: Path) -> None:
    line = '{"answer": "2", "reasoning": "hm", "response": "is </think> a mark?"}'
    trace = one(tmp_path, line).trace
    assert (trace.reasoning, trace.response) == ("hm", "is </think> a mark?")


def test_unknown_columns_are_kept_as_they_are(tmp_path: Path) -> None:
    row = one(tmp_path, '{"answer": "2", "text": "2", "score": 1.50, "tags": ["a" ]}')
    assert {name: bytes(raw) for name, raw in row.extra.items()} == {
        "score": b"1.50",
        "tags": b'["a" ]',
    }


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", ""),
        ("[1]", "Expected `object`"),
        ('{"answer": "2"}', "no 'response' and no 'text'"),
        ('{"response": "2"}', "no answer"),
        ('{"response": "2", "answer": ""}', "no answer"),
        ('{"response": "2", "answer": []}', "no answer"),
        ('{"response": 2, "answer": "2"}', "column 'response': Expected `str`"),
        ('{"response": "2", "answer": "2", "kind": "maths"}', "unknown kind 'maths'"),
        ('{"response": "2", "answer": "2", "choices": "A"}', "column 'choices'"),
        ('{"response": "2", "answer": NaN}', ""),
    ],
)
def test_a_bad_row_is_named_and_the_rest_goes_on(tmp_path: Path, line: str, reason: str) -> None:
    good = '{"answer": "2", "response": "2"}'
    rows, bad = read(tmp_path / "a.jsonl", good, line, good)
    assert len(rows) == 2 and len(bad) == 1
    assert bad[0].where == f"{tmp_path / 'a.jsonl'}:2"
    assert reason in bad[0].reason


def test_an_open_row_needs_no_answer(tmp_path: Path) -> None:
    rows, bad = read(tmp_path / "a.jsonl", '{"response": "A poem."}', kind="open")
    assert not bad and rows[0].problem.answer is None


columns = st.sampled_from(
    ["id", "answer", "response", "text", "kind", "sample", "choices", "source", "x"]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)


@given(rows=st.lists(st.dictionaries(columns, values), max_size=5))
def test_every_row_is_either_read_or_named(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, object]]
) -> None:
    path = tmp_path_factory.mktemp("rows") / "a.jsonl"
    found, bad = read(path, *(json.dumps(row) for row in rows))
    assert len(found) + len(bad) == len(rows)
