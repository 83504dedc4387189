"""Verdicts for files and for runs, as they end up on disk."""

import json
import random
from pathlib import Path

import msgspec
import pytest

from distill import jsonl
from distill.errors import DistillError
from distill.recipe import ProblemSource, Recipe
from distill.run import Run
from distill.traces import read_judged
from distill.types import Problem, Trace, Verdict
from distill.verify.run import verify_file, verify_run

ROWS = [
    {"id": 1, "answer": 0.50, "response": "<think>hm</think>\\boxed{1/2}"},
    {"id": "x", "gold": "3", "response": "The answer is 4."},
    {"answer": "3", "response": "<think>never ends", "truncated": True},
    {"id": 1, "answer": "x+1", "response": "\\boxed{1+x}"},
    {"id": 2, "kind": "choice", "answer": "B", "choices": ["5", "6"], "response": "(B)"},
    {"id": 3, "kind": "open", "response": "A poem."},
]
STATUSES = ["correct", "wrong", "no_answer", "correct", "correct", "unchecked"]


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_file_gets_one_verdict_per_usable_row_in_order(tmp_path: Path) -> None:
    bad: list[dict[str, object]] = [{"response": "2"}, {"kind": "gym", "response": "2"}]
    path = write(tmp_path / "in.jsonl", [*ROWS[:2], *bad, *ROWS[2:]])
    out = tmp_path / "out"
    verified = verify_file([path], out, workers=1)
    verdicts = lines(out / "verdicts.jsonl")
    assert [row["status"] for row in verdicts] == STATUSES
    assert [row.get("id") for row in verdicts] == [row.get("id") for row in ROWS]
    assert [(row["problem_id"], row["sample"]) for row in verdicts[:1] + verdicts[3:4]] == [
        ("1", 0),
        ("1", 1),
    ]
    assert verdicts[0]["expected"] == "0.5" and verdicts[0]["extracted"] == "1/2"
    rejected = lines(out / "rejected.jsonl")
    assert [str(row["where"]).rpartition(":")[2] for row in rejected] == ["3", "4"]
    assert rejected[1]["reason"] == "kind 'gym' needs 'gym'"
    assert (verified.rows, verified.judged, verified.rejected) == (8, 6, 2)
    assert sum(verified.statuses.values()) == 6
    assert verified.line().startswith("8 rows → correct 3, ")


def test_several_files_go_into_one(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{name}.jsonl", ROWS[:2]) for name in "ab"]
    assert verify_file(paths, tmp_path / "out").judged == 4
    assert len(lines(tmp_path / "out" / "verdicts.jsonl")) == 4


def test_a_file_is_not_overwritten_by_its_own_verdicts(tmp_path: Path) -> None:
    path = write(tmp_path / "verdicts.jsonl", ROWS[:1])
    with pytest.raises(DistillError, match="would be overwritten"):
        verify_file([path], tmp_path)


def test_a_missing_file_leaves_no_verdicts(tmp_path: Path) -> None:
    with pytest.raises(DistillError, match="no such file"):
        verify_file([tmp_path / "none.jsonl"], tmp_path / "out")
    assert not (tmp_path / "out" / "verdicts.jsonl").exists()


def test_code_is_refused_where_it_cannot_be_run_safely(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DistillError, match="bwrap is not on the PATH"):
        verify_file(
            [write(tmp_path / "in.jsonl", ROWS)],
            tmp_path / "out",
            kind="code",
            sandbox="bubblewrap",
        )


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Two shards with two traces each; only the first trace has been judged, and by an old checker."""
    run = Run(tmp_path, Recipe(problems=[ProblemSource(world="train", count=2)]))
    problems = [
        Problem(id="p", prompt="1+1?", answer="2"),
        Problem(id="q", prompt="1+2?", answer="3"),
    ]
    jsonl.write_rows(run.problems, problems)
    for shard in ("0", "1"):
        traces = [
            Trace(series="s", problem_id=name, sample=int(shard), response=r"\boxed{2}")
            for name in ("p", "q")
        ]
        jsonl.write_rows(run.traces / shard / "000000.jsonl", traces)
    old = Verdict(series="s", problem_id="p", sample=0, status="wrong", checker="math/0")
    with jsonl.Appender(run.verdicts / "0" / "000000.jsonl") as out:
        out.append(old)
    return run


def statuses(run: Run) -> list[str]:
    return [judged.verdict.status if judged.verdict else "none" for judged in read_judged(run.path)]


def test_only_what_has_no_verdict_is_judged(run: Run) -> None:
    verified = verify_run(run)
    assert (verified.rows, verified.judged, verified.changed) == (4, 3, 0)
    assert verified.statuses == {"wrong": 3, "correct": 1}
    assert statuses(run) == ["wrong", "wrong", "correct", "wrong"]
    assert verify_run(run).judged == 0


def test_judging_again_says_what_changed_and_the_newest_verdict_counts(run: Run) -> None:
    verified = verify_run(run, again=True)
    assert (verified.rows, verified.judged) == (4, 4)
    assert verified.changes == {"wrong → correct": 1}
    assert statuses(run) == ["correct", "wrong", "correct", "wrong"]
    assert len(lines(run.verdicts / "0" / "000000.jsonl")) == 3


def test_judging_again_with_the_same_checker_writes_nothing(run: Run) -> None:
    verify_run(run, again=True)
    before = (run.verdicts / "0" / "000000.jsonl").read_bytes()
    assert verify_run(run, again=True).changed == 0
    assert (run.verdicts / "0" / "000000.jsonl").read_bytes() == before


def test_a_run_that_is_being_written_is_left_alone(run: Run) -> None:
    with (
        jsonl.locked(run.traces / "1"),
        pytest.raises(DistillError, match="another distill process"),
    ):
        verify_run(run)


def test_a_trace_of_an_unknown_problem_is_named(run: Run) -> None:
    jsonl.write_rows(run.problems, [Problem(id="p", prompt="1+1?", answer="2")])
    with pytest.raises(DistillError, match="problem 'q' is not in the run"):
        verify_run(run)


def test_a_run_without_traces_names_the_command_that_makes_them(run: Run, tmp_path: Path) -> None:
    empty = Run(tmp_path / "empty", run.recipe)
    with pytest.raises(DistillError, match="distill generate"):
        verify_run(empty)


@pytest.mark.slow  # 6 s
def test_500_real_traces_are_judged_as_their_label_says(real_data: Path, tmp_path: Path) -> None:
    """The labels are automatic too (a string grader); the first 500 in a seeded order."""
    source = real_data / "traces_sky_t1" / "traces.jsonl.zst"
    rows = [msgspec.json.decode(line.data) for line in jsonl.lines(source)]
    sample = random.Random(0).sample([row for row in rows if row["gold"]], 500)
    path = write(tmp_path / "sky.jsonl", sample)
    verified = verify_file([path], tmp_path / "out")
    verdicts = lines(tmp_path / "out" / "verdicts.jsonl")
    assert [row["id"] for row in verdicts] == [row["id"] for row in sample]
    agree = sum(
        (verdict["status"] == "correct") == row["correct"]
        for verdict, row in zip(verdicts, sample, strict=True)
    )
    print(f"{verified.line()}; {agree / 500:.1%} as labelled")
    assert agree >= 0.95 * 500
