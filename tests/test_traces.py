"""Taking replies apart, joining parts and verdicts, reading segments that a kill tore."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill import jsonl
from distill.cards import Marks
from distill.errors import UnreadableRow
from distill.traces import join_reasoning, read_judged, split_reasoning
from distill.types import Trace, Verdict

CASES = [
    ("<think>\na\n</think>\n\nb", Marks(), ("a", "b")),
    ("<think>a</think>b", Marks(), ("a", "b")),
    ("a\n</think>\n\nb", Marks(), ("a", "b")),
    ("a\n</think>\n\nb", Marks(opened=True), ("a", "b")),
    ("no marks", Marks(), (None, "no marks")),
    ("cut while thinking", Marks(opened=True), ("cut while thinking", "")),
    ("<think>\ncut", Marks(), ("cut", "")),
    ("<think>\n</think>\n\nb", Marks(), ("", "b")),
    ("[T]a[/T]b", Marks(open="[T]", close="[/T]"), ("a", "b")),
]


@pytest.mark.parametrize(("text", "marks", "split"), CASES)
def test_a_reply_is_split_at_its_marks(
    text: str, marks: Marks, split: tuple[str | None, str]
) -> None:
    assert tuple(split_reasoning(text, marks)) == split


WORDS = st.text(alphabet="ab \n.", max_size=30).map(str.strip)


@given(WORDS, WORDS)
def test_splitting_undoes_joining(reasoning: str, response: str) -> None:
    assert split_reasoning(join_reasoning(reasoning, response), Marks()) == (reasoning, response)


def trace(sample: int, **fields: object) -> Trace:
    return Trace(series="s", problem_id="p", sample=sample, **fields)  # type: ignore[arg-type]


def verdict(sample: int, status: str, checker: str = "1") -> Verdict:
    return Verdict(series="s", problem_id="p", sample=sample, status=status, checker=checker)  # type: ignore[arg-type]


def test_the_newest_verdict_wins_and_an_unjudged_trace_has_none(tmp_path: Path) -> None:
    jsonl.write_rows(tmp_path / "traces/0/000000.jsonl", [trace(0), trace(1)])
    jsonl.write_rows(
        tmp_path / "verdicts/0/000000.jsonl", [verdict(0, "wrong"), verdict(0, "correct", "2")]
    )
    judged = list(read_judged(tmp_path))
    assert [j.verdict.status if j.verdict else None for j in judged] == ["correct", None]


def test_parts_of_a_cut_trace_are_joined(tmp_path: Path) -> None:
    rows = [
        trace(0, reasoning="one ", finish="length", completion_tokens=3),
        trace(1, reasoning="x", response="y"),
        trace(0, part=1, reasoning="two", response="end", finish="stop", ending="continued",
              completion_tokens=4),
    ]  # fmt: skip
    jsonl.write_rows(tmp_path / "traces/0/000000.jsonl", rows)
    joined = {j.trace.sample: j.trace for j in read_judged(tmp_path)}
    assert len(joined) == 2
    assert (joined[0].reasoning, joined[0].response, joined[0].finish) == ("one two", "end", "stop")
    assert joined[0].completion_tokens == 7 and joined[0].part == 0


def test_a_torn_tail_is_skipped_but_damage_in_the_middle_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "traces/0/000000.jsonl"
    jsonl.write_rows(path, [trace(0), trace(1)])
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    assert [j.trace.sample for j in read_judged(tmp_path)] == [0]
    path.write_bytes(b"{damaged\n" + whole)
    with pytest.raises(UnreadableRow, match=r"000000\.jsonl:1"):
        list(read_judged(tmp_path))
