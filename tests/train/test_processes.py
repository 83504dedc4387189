"""One or two processes, ZeRO 0 to 3, accumulation, offload: the same curve; and how they stop."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import MakeRun, losses, write_student

from distill import cards, jsonl
from distill.run import Run
from distill.train import loop
from distill.train.loop import train

ROOT = Path(__file__).parent.parent.parent
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def torchrun(processes: int, *runs_and_students: str | Path) -> int:
    once = str(Path(__file__).parent / "once.py")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
    command += [str(processes), once, *map(str, runs_and_students)]
    return subprocess.run(command, env=ENVIRONMENT).returncode


def distill_train(run: Run, student: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "distill", "train", "--run", str(run.path)]
    return subprocess.Popen(
        [*command, "--student", student, "--processes", "2"], env=ENVIRONMENT, text=True,
        stderr=subprocess.PIPE, start_new_session=True, cwd=ROOT,
    )  # fmt: skip


def steps(run: Run, student: str) -> list[loop.Step]:
    folder = run.student(cards.load_student(student).name)
    return list(jsonl.read(folder / "training.jsonl", loop.Step))


ROWS_PER_STEP = 8
PLAIN = [(zero, "none", accumulation) for zero in (0, 1, 2, 3) for accumulation in (1, 4)]
OFFLOADED = [(1, "optimizer", 1), (2, "optimizer", 4), (3, "optimizer", 1), (3, "all", 4)]


@pytest.mark.slow  # 60 s on two idle cores: twelve trainings here, twelve in one launch of two
def test_zero_stages_processes_accumulation_and_offload_give_one_curve(
    make_run: MakeRun, tmp_path: Path, tokenizer_folder: Path
) -> None:
    student = write_student(tmp_path, tokenizer_folder)
    runs: dict[tuple[int, int, str, int], Run] = {}
    for processes in (1, 2):
        for zero, offload, accumulation in PLAIN + OFFLOADED:
            runs[processes, zero, offload, accumulation] = make_run(
                60, f"{processes}-{zero}-{offload}-{accumulation}", max_steps=50, epochs=40.0,
                tokens_per_step=256 * ROWS_PER_STEP, zero=zero, offload=offload,
                rows_per_forward=ROWS_PER_STEP // processes // accumulation,
            )  # fmt: skip
    two = [part for cell, run in runs.items() if cell[0] == 2 for part in (run.path, student)]
    assert torchrun(2, *two) == 0
    for cell, run in runs.items():
        if cell[0] == 1:
            train(run, student)
    reference = steps(runs[1, 0, "none", 1], student)
    assert len(reference) == 50 and reference[-1].loss < 0.7 * reference[0].loss
    for cell, run in runs.items():
        found = steps(run, student)
        apart = max(abs(a.loss / b.loss - 1) for a, b in zip(found, reference, strict=True))
        # Adam forgives a wrong scale of the gradient, the norm before clipping does not.
        norm = max(
            abs(a.grad_norm / b.grad_norm - 1) for a, b in zip(found, reference, strict=True)
        )
        print(cell, f"{apart:.1e} {norm:.1e}", found[-1].seconds)
        assert apart < 1e-3 and norm < 1e-3, cell


def wait_for_steps(path: Path, count: int) -> None:
    deadline = time.monotonic() + 90
    while not (path.exists() and len(losses(path)) >= count) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(losses(path)) >= count


def processes_of(run: Run) -> list[str]:
    """Command lines of living processes that train this run."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            lines.append(path.read_bytes().replace(b"\0", b" ").decode())
    return [line for line in lines if str(run.path) in line]


@pytest.mark.slow  # 30 s: three launches of two processes
def test_two_processes_stop_at_a_signal_and_the_same_command_continues(
    make_run: MakeRun, tmp_path: Path, tokenizer_folder: Path
) -> None:
    settings = {"max_steps": 400, "tokens_per_step": 512, "epochs": 200.0, "learning_rate": 1e-3}
    student = write_student(tmp_path, tokenizer_folder)
    run = make_run(60, "stopped", **settings)
    folder = run.student(cards.load_student(student).name)
    for number, until in ((signal.SIGINT, 20), (signal.SIGTERM, 120)):
        child = distill_train(run, student)
        wait_for_steps(folder / "training.jsonl", until)
        if number == signal.SIGINT:
            os.killpg(child.pid, number)  # as a terminal does
        else:
            child.send_signal(number)
        said = child.communicate(timeout=60)[1]
        assert child.returncode == 130, said
        assert "which is saved; the same command continues" in said and "Traceback" not in said
        assert said.count("distill: ") == 1
        assert list((folder / "checkpoints").glob("step-????????")) and not processes_of(run)
    child = distill_train(run, student)
    assert "continuing after step" in child.communicate(timeout=200)[1] and child.returncode == 0
    whole = make_run(60, "whole", **settings)
    train(whole, student)
    found = [step.loss for step in steps(run, student)]
    assert found == pytest.approx([step.loss for step in steps(whole, student)], rel=1e-2)
    assert train(run, student, processes=1).already


@pytest.mark.slow  # 15 s: two launches of two processes
def test_what_ends_one_of_several_processes_is_one_sentence(
    make_run: MakeRun, tmp_path: Path, tokenizer_folder: Path
) -> None:
    student = write_student(tmp_path, tokenizer_folder)
    run = make_run(60, "short", length=32)  # every trace is too long
    child = distill_train(run, student)
    said = child.communicate(timeout=60)[1]
    assert child.returncode == 2 and "Traceback" not in said
    assert said.count("nothing to train on") == 1 == said.count("distill: ")
    run = make_run(60, "killed", max_steps=10_000, epochs=2000.0, tokens_per_step=512)
    child = distill_train(run, student)
    folder = run.student(cards.load_student(student).name)
    wait_for_steps(folder / "training.jsonl", 5)
    of_child = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()
    os.kill(int(of_child[1]), signal.SIGKILL)
    said = child.communicate(timeout=60)[1]
    assert child.returncode == 2 and "Traceback" not in said.partition("distill: ")[2]
    assert "training process 1 failed (was ended by SIGKILL" in said
    assert not processes_of(run)
