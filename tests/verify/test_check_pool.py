"""Workers: what hangs, crashes or is killed costs its own deadline and nothing else."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from distill.errors import DistillError
from distill.types import Problem, Trace, Verdict
from distill.verify.pool import CheckPool

# Only sympy reads integrals and sums, so these go to a worker.
HANGS = r"\boxed{\int_0^1 e^{x^{x^{x}}} dx}"
HARD = r"\boxed{\sum_{k=1}^{3} k}"
ROOT = Path(__file__).parents[2]


def pair(answer: str, response: str, sample: int = 0) -> tuple[Problem, Trace]:
    problem = Problem(id="p", prompt="", answer=answer)
    return problem, Trace(series="s", problem_id="p", sample=sample, response=response)


@pytest.fixture(scope="module")
def pool() -> Iterator[CheckPool]:
    with CheckPool(workers=1, timeout_s=2.0) as pool:
        list(pool.judge_all([pair("6", HARD)]))  # started: deadlines are measured below
        yield pool


@pytest.fixture(autouse=True)
def odd_worker_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers get this process's import path, which does not hold this folder in every import mode."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


@pytest.fixture
def odd(odd_worker_is_found: None) -> Iterator[CheckPool]:
    with CheckPool(workers=1, timeout_s=1.0, worker="odd_worker") as pool:
        yield pool


def ask(pool: CheckPool, word: str) -> Verdict:
    return next(pool.judge_all([pair(r"\int x", f"\\boxed{{{word}}}")]))


def test_a_hanging_answer_costs_its_deadline_and_the_next_ones_are_right(pool: CheckPool) -> None:
    started = time.monotonic()
    verdicts = pool.judge_all([pair("3", HANGS), pair("6", HARD), pair("7", HARD)])
    assert next(verdicts).status == "timeout"
    assert time.monotonic() - started < 1.1 * pool.timeout_s
    assert [verdict.status for verdict in verdicts] == ["correct", "wrong"]


def test_verdicts_come_in_input_order_with_their_identities(pool: CheckPool) -> None:
    responses = [r"\boxed{1+x}", r"\boxed{x+1}", r"\boxed{7}", "none"] * 50
    pairs = [pair("x+1", response, sample) for sample, response in enumerate(responses)]
    verdicts = list(pool.judge_all(pairs))
    assert [verdict.sample for verdict in verdicts] == list(range(200))
    assert [verdict.status for verdict in verdicts] == [
        "correct",
        "correct",
        "wrong",
        "no_answer",
    ] * 50


def test_threads_and_an_event_loop_share_one_pool(pool: CheckPool) -> None:
    async def many() -> list[Verdict]:
        return await asyncio.gather(
            *(pool.judge(*pair(f"x+{n}", f"\\boxed{{{n % 7}+x}}", n)) for n in range(10))
        )

    found: list[list[Verdict]] = []
    threads = [Thread(target=lambda: found.append(asyncio.run(many()))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    right = ["correct"] * 7 + ["wrong"] * 3
    assert [[verdict.status for verdict in verdicts] for verdicts in found] == [right] * 3


def test_what_needs_no_algebra_starts_no_worker() -> None:
    with CheckPool(worker="there_is_no_such_module") as pool:
        assert ask(pool, r"\int x").checker == "math/2:text"
        with pytest.raises(DistillError, match="No module named 'there_is_no_such_module'"):
            ask(pool, r"\int y")


def test_a_worker_sees_nothing_of_the_environment(
    odd: CheckPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    detail = ask(odd, "show").detail
    assert detail is not None and detail.startswith("{} ")


@pytest.mark.parametrize(
    ("word", "status", "detail"),
    [
        ("exit", "checker_error", "exit code 3"),
        ("raise", "checker_error", "ZeroDivisionError: a checker's own mistake"),
        ("memory", "checker_error", "MemoryError"),
        ("sleep", "timeout", "no verdict within 1 s"),
        ("chatter", "correct", ""),
    ],
)
def test_a_broken_checker_is_not_a_wrong_answer(
    odd: CheckPool, word: str, status: str, detail: str
) -> None:
    verdict = ask(odd, word)
    assert verdict.status == status
    assert detail in (verdict.detail or "")
    assert ask(odd, "show").status == "correct"


def test_a_worker_that_was_killed_between_items_is_replaced(odd: CheckPool) -> None:
    pid = int(str(ask(odd, "show").detail).split()[-1])
    os.kill(pid, signal.SIGKILL)
    time.sleep(0.1)
    assert ask(odd, "show").status == "correct"


def test_closing_kills_what_still_runs_and_judges_nothing() -> None:
    pool = CheckPool(workers=1, timeout_s=30.0, worker="odd_worker")
    outcomes: list[object] = []

    def wait() -> None:
        try:
            outcomes.append(ask(pool, "sleep"))
        except DistillError as error:
            outcomes.append(error)

    pid = int(str(ask(pool, "show").detail).split()[-1])
    thread = Thread(target=wait)
    thread.start()
    time.sleep(0.3)
    pool.close()
    thread.join(5)
    assert len(outcomes) == 1 and isinstance(outcomes[0], DistillError)
    assert not is_running(pid)
    pool.close()


PARENT = """
import sys, threading
from distill.types import Problem, Trace
from distill.verify.pool import CheckPool
pool = CheckPool(workers=2, timeout_s=60.0, worker="odd_worker")
def pair(word):
    return Problem(id="p", prompt="", answer="\\\\int x"), Trace(
        series="s", problem_id="p", sample=0, response=f"\\\\boxed{{{word}}}")
with pool:
    idle = next(pool.judge_all([pair("show")])).detail.split()[-1]
    threading.Thread(target=lambda: list(pool.judge_all([pair("sleep")])), daemon=True).start()
    while not pool._alive: pass
    print(idle, flush=True)
    list(pool.judge_all([pair("sleep")]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc: looks for orphans there")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_no_worker_outlives_its_parent(how: signal.Signals) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        env={"PYTHONPATH": f"{ROOT}:{Path(__file__).parent}"},
    )  # fmt: skip
    assert parent.stdout is not None
    with parent, parent.stdout:
        int(parent.stdout.readline())
        time.sleep(0.5)
        workers = children(parent.pid)
        assert len(workers) == 2
        parent.send_signal(how)
        parent.wait(10)
    ends = time.monotonic() + 5
    while any(map(is_running, workers)) and time.monotonic() < ends:
        time.sleep(0.05)
    assert not any(map(is_running, workers))


def children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for tasks in found for child in tasks.read_text().split()]


def is_running(pid: int) -> bool:
    """Zombies do not count: an init that does not reap leaves them."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_worker_has_no_network() -> None:
    """Where the kernel lets a user leave it: this machine's own server is out of reach."""
    code = (
        "import socket, sys\n"
        "from distill.verify.worker import leave_network\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "if not leave_network(): sys.exit(77)\n"
        "try: socket.create_connection(server.getsockname(), 5)\n"
        "except OSError: sys.exit(0)\n"
        "sys.exit('connected')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    if done.returncode == 77:
        pytest.skip("this kernel or container gives users no namespaces")
    assert done.returncode == 0, done.stderr
