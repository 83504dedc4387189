"""A crash of a checker, a time-out and a missing answer stay apart, from the verdict to the report."""

import functools
import json
from pathlib import Path

import pytest

from distill import jsonl
from distill.cards import ProblemSource
from distill.engine.protocol import Reply, Request
from distill.evaluate import evaluate
from distill.filter.filter import filter_run
from distill.generate import generate
from distill.recipe import Evaluate, Filter, Generate, Recipe
from distill.report.html import write_report
from distill.run import Run
from distill.types import Dropped, Verdict
from distill.verify.pool import CheckPool
from distill.verify.run import verify_file, verify_run

# What tests/verify/odd_worker.py does with each answer, and what must come of it, how many times.
WORDS = {"fine": "correct", "exit": "checker_error", "sleep": "timeout", "": "no_answer"}
TIMES = {"fine": 4, "exit": 3, "sleep": 1, "": 2}
COUNTS = {WORDS[word]: times for word, times in TIMES.items()}


class Says:
    """Answers as the problem asks."""

    name, in_flight = "says", 8

    async def ask(self, request: Request) -> Reply:
        word = request.messages[-1].content.split("\n")[0].split()[-1].strip('"')
        said = f"\\boxed{{{word}}}" if word else "I do not know."
        return Reply(f"<think>\nhm\n</think>\n\n{said}", [], "stop", 20, 10, 0.5)

    async def close(self) -> None:
        pass


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run whose checkers are real processes that crash and hang where the answer says so."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    odd = functools.partial(CheckPool, worker="odd_worker")
    for module in ("generate.generate", "evaluate.evaluate", "verify.run"):
        monkeypatch.setattr(f"distill.{module}.CheckPool", odd)
    words = [word for word, times in TIMES.items() for _ in range(times)]
    jsonl.write_rows(
        tmp_path / "words.jsonl",
        [
            {"id": n, "prompt": f'{n}: say "{word}"', "answer": f"\\int x+{n}"}
            for n, word in enumerate(words)
        ],
    )
    (tmp_path / "words.yaml").write_text(
        f"name: words\nproblems: {{file: {tmp_path}/words.jsonl}}\n"
    )
    (tmp_path / "pupil.yaml").write_text("name: pupil\nlearning_rate: 1e-3\n")
    run = Run(
        tmp_path / "run",
        Recipe(
            problems=[ProblemSource(file=str(tmp_path / "words.jsonl"))],
            students=[str(tmp_path / "pupil.yaml")],
            check_timeout_s=1.0,
            generate=Generate(samples=1),
            filter=Filter(overlap=False),
            evaluate=Evaluate(benchmarks=[str(tmp_path / "words.yaml")], base=False, teacher=False),
        ),
    )
    weights = run.student("pupil")
    weights.mkdir(parents=True)
    (weights / "model.safetensors").write_text("")
    return run


def counted(path: Path) -> dict[str, int]:
    found: dict[str, int] = {}
    for verdict in jsonl.read(path, Verdict):
        found[verdict.status] = found.get(verdict.status, 0) + 1
    return found


def test_three_statuses_arrive_in_verdicts_funnel_scores_and_report(run: Run) -> None:
    """About 5 s: two real time-outs of 1 s, and workers that start anew."""
    made = generate.generate_run(run, engine=Says(), say=lambda text: None)
    assert made.statuses == COUNTS
    assert counted(run.verdicts / "0" / "000000.jsonl") == COUNTS

    funnel = filter_run(run)
    lost = {status: n for status, n in COUNTS.items() if status != "correct"}
    assert (funnel.kept, funnel.dropped) == (4, lost)
    assert json.loads(run.funnel.read_bytes())["dropped"] == lost
    reasons = {row.reason: row.evidence for row in jsonl.read(run.dropped, Dropped)}
    assert reasons.keys() == lost.keys()
    assert "exit code 3" in reasons["checker_error"]
    assert "no verdict within 1 s" in reasons["timeout"]
    assert "no answer found" in reasons["no_answer"]

    (score,) = evaluate.evaluate_run(run, opener=lambda run, subject: Says())
    assert (score.value, score.status_counts) == (0.4, COUNTS)
    assert json.loads(run.scores.read_bytes())["scores"][0]["status_counts"] == COUNTS

    page = write_report(run).read_text()
    for status, number in lost.items():
        name = status.replace("_", " ")
        assert f'<span class="status {status}">{name}</span> <span class="meta">{number},' in page
        assert f'<span class="minus">dropped: </span>{name}' in page
    # what no checker could judge is told beside the score: 4 of 10 could move it from 40% to 80%
    assert "40.0% to 80.0%" in page


def test_three_statuses_arrive_in_the_verdicts_of_a_file(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    jsonl.write_rows(
        path,
        [
            {"answer": "\\int x", "response": f"\\boxed{{{word}}}" if word else "I do not know."}
            for word in WORDS
        ],
    )
    verified = verify_file([path], tmp_path / "out", workers=1, timeout_s=1.0)
    assert verified.statuses == dict.fromkeys(WORDS.values(), 1)
    assert counted(tmp_path / "out" / "verdicts.jsonl") == verified.statuses
    assert all(status in verified.line() for status in WORDS.values())


def test_three_statuses_survive_judging_again(run: Run) -> None:
    generate.generate_run(run, engine=Says(), say=lambda text: None)
    verified = verify_run(run, again=True)
    assert (verified.statuses, verified.changes) == (COUNTS, {})
