"""kill -9 at random moments, then the same command: nothing planned is lost, nothing is there twice.

Ten rounds each take five minutes in all, so there is no short form.
"""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from distill import jsonl, stages
from distill.run import open_existing, open_run
from distill.traces import read_judged
from distill.types import Identity
from tests.conftest import FULL

ROOT = Path(__file__).parent.parent
RECIPE = "tests/recipes/seconds.yaml"
ROUNDS = 10 if FULL else 5

REAL = [sys.executable, "-m", "distill", "run", RECIPE, "--run"]
SCRIPTED = [sys.executable, "tests/scripted_run.py"]


def start(command: list[str]) -> "subprocess.Popen[bytes]":
    """In a process group of its own, so that one kill takes every process of it."""
    log = subprocess.DEVNULL
    return subprocess.Popen(command, cwd=ROOT, start_new_session=True, stdout=log, stderr=log)


def finish(command: list[str]) -> float:
    started = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return time.monotonic() - started


def kill_at(command: list[str], seconds: float) -> bool:
    """Start, wait, kill -9 the whole group. Whether it was still at work."""
    process = start(command)
    try:
        process.wait(timeout=seconds)
        return False
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True


def assert_complete(folder: Path) -> None:
    """Each planned identity once, each with its verdict, in the run and in each of its evaluations."""
    run = open_existing(folder)
    problems = [problem.id for problem in run.read_problems()]
    assert_folder(folder, problems, run.recipe.generate.samples)
    few = [row["id"] for row in jsonl.read(run.evals / "few.problems.jsonl", dict)]
    for subject in ("base-tiny-qwen", "student-tiny-qwen", "teacher-tiny"):
        assert_folder(run.evals / subject / "few", few, 2)
    assert run.report.exists() and run.scores.exists()
    kept, dropped = jsonl.seal(run.kept).rows, jsonl.seal(run.dropped).rows
    assert kept + dropped == len(problems) * run.recipe.generate.samples


def assert_folder(folder: Path, problems: list[str], samples: int) -> None:
    judged = list(read_judged(folder))
    counts = Counter(row.trace.identity for row in judged)
    (series,) = {identity.series for identity in counts}
    planned = {Identity(series, problem, n) for problem in problems for n in range(samples)}
    assert counts.keys() == planned
    assert set(counts.values()) == {1}
    assert all(row.verdict is not None for row in judged)


@pytest.mark.slow
def test_a_run_killed_at_random_moments_ends_complete(tmp_path: Path) -> None:
    """About 4 minutes: one whole run, then rounds of kill, restart, check."""
    whole = finish([*REAL, str(tmp_path / "whole")])
    assert_complete(tmp_path / "whole")
    landed = 0
    for number in range(ROUNDS):
        # One moment out of each tenth of the run, so that every stage is struck.
        moment = whole * (number + random.Random(number).random()) / ROUNDS
        folder = tmp_path / str(number)
        landed += kill_at([*REAL, str(folder)], moment)
        finish([*REAL, str(folder)])
        assert_complete(folder)
    print(f"{landed} of {ROUNDS} kills struck a run at work; a whole run takes {whole:.0f} s")
    assert landed >= 0.8 * ROUNDS


@pytest.mark.slow
def test_with_scripted_replies_a_killed_run_ends_in_the_same_bytes(tmp_path: Path) -> None:
    """About 40 s: one whole run, and one killed again and again, compared file by file."""
    whole = finish([*SCRIPTED, str(tmp_path / "whole"), RECIPE])
    killed = tmp_path / "killed"
    landed = 0
    for number in range(ROUNDS):
        moment = whole * (number + random.Random(100 + number).random()) / ROUNDS
        landed += kill_at([*SCRIPTED, str(killed), RECIPE], moment)
    finish([*SCRIPTED, str(killed), RECIPE])
    print(f"{landed} of {ROUNDS} kills struck a run at work; a whole run takes {whole:.0f} s")
    assert landed >= 1
    assert digests(tmp_path / "whole") == digests(killed)


def digests(folder: Path) -> dict[str, str]:
    """sha256 of every file that must not depend on how often the run was killed.

    Left out: what holds times (manifest, log, training.jsonl's seconds, the report), and trace
    segments, whose order is the order of arrival.
    """
    run = open_existing(folder)
    files = [run.problems, run.kept, run.dropped, run.funnel, run.scores, run.series]
    files += [
        run.student("tiny-qwen") / "model.safetensors",
        *sorted(run.dataset.rglob("*.parquet")),
    ]
    assert len(files) > 7
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="prctl is Linux's")
def test_a_stage_does_not_outlive_a_killed_run() -> None:
    code = (
        "import subprocess, sys\n"
        "from distill.children import stop_with_us\n"
        "child = subprocess.Popen(['sleep', '60'], preexec_fn=stop_with_us())\n"
        "print(child.pid, flush=True)\n"
        "child.wait()\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = Path("/proc") / parent.stdout.readline().decode().strip() / "stat"
    assert child.exists()
    parent.kill()
    parent.communicate()
    ends_by = time.monotonic() + 10
    while child.exists() and child.read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < ends_by, "the child still runs"
        time.sleep(0.02)


def test_a_stage_ended_by_a_signal_is_said_and_has_an_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(stages, "_wait", lambda stage: stage.kill() or stage.wait())
    code = stages.run_stages(open_run(tmp_path / "run"), say=said.append)
    assert code == 128 + signal.SIGKILL
    assert "generate was ended by SIGKILL; the same command" in said[-1]
