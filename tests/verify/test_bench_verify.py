"""The benchmarks of the checkers run, count right, and say what is not there."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import FULL

BENCH = Path(__file__).parents[1] / "bench"


@pytest.fixture(autouse=True)
def bench_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCH))


def run(name: str, *arguments: str, data: Path | None = None) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "DISTILL_TEST_DATA": str(data or ""), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, str(BENCH / name), *arguments],
        capture_output=True, text=True, env=env, timeout=300, cwd="/",
    )  # fmt: skip


def test_there_are_fifty_hostile_answers() -> None:
    from _hostile import hostile

    answers = hostile()
    assert len(answers) == 50
    assert sum(len(answer.response) > 90_000 for answer in answers) >= 8


def test_a_matrix_tells_the_two_errors_apart() -> None:
    from verify_errors import Matrix

    matrix = Matrix()
    for label, status in [
        ("equal", "correct"),
        ("equal", "timeout"),
        ("unequal", "correct"),
        ("no_answer", "wrong"),
    ]:
        matrix.add(label, status)  # type: ignore[arg-type]
    assert (matrix.total(True), matrix.accepted(True)) == (2, 1)
    assert (matrix.total(False), matrix.accepted(False)) == (2, 1)
    assert matrix.agreement == 0.5


def write(folder: Path, name: str, rows: list[dict[str, object]]) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_errors_are_counted_told_and_written_out(tmp_path: Path) -> None:
    """About 5 s: both checkers in real workers."""
    pairs: list[dict[str, object]] = [
        {"gold": "1/2", "pred": "0.5", "expected": True, "group": "numbers"},
        {"gold": "1/2", "pred": "The answer is $0.5$", "expected": True, "group": "numbers"},
        {"gold": "12", "pred": "13", "expected": False, "group": "numbers"},
        {"gold": "12", "pred": "12", "expected": False, "group": "label wrong"},
    ]
    write(tmp_path, "answer_equivalence/curated_tests.jsonl", pairs)
    out = tmp_path / "out.jsonl"
    sets = ["curated_tests", "auto_graded"]
    done = run(
        "verify_errors.py", "--sets", *sets, "--parts", "--out", str(out), "--json", data=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "auto_graded: not here" in done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert (told["name"], told["ours"], told["peer"], told["ratio"]) == ("verify_errors", 1, 1, 1.0)
    matrix = told["sets"]["curated_tests"]["ours"]
    assert (matrix["equal"], matrix["equal_accepted"]) == (2, 2)
    assert (matrix["unequal"], matrix["unequal_accepted"]) == (2, 1)
    (row,) = [json.loads(line) for line in out.read_text().splitlines()]
    assert (row["part"], row["differs"], row["ours"]) == (
        "label wrong",
        ["ours", "peer"],
        "correct",
    )
    assert (row["expected"], row["extracted"]) == ("12", "12") and row["checker"].startswith(
        "math/"
    )
    assert [path.name for path in tmp_path.iterdir() if "part" in path.name] == []


@pytest.mark.slow  # 80 s; in full 150 s
def test_hostile_answers_end_in_time_and_the_speed_is_told() -> None:
    """Synthetic traces: real ones are for `make bench`. Fails as the benchmark does."""
    done = run("verify.py", "--limit", "200", "--deadline", "2" if FULL else "1", "--json")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["data"] == "synthetic" and told["traces"] == 200
    assert told["hostile"] == told["within_deadline"] == 50
    assert told["pool_alive"] and told["right_together"] == told["together"]
    assert told["ratio"] > 1
