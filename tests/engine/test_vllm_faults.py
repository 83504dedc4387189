"""Real vLLM that dies, and distill that dies beside it: one sentence, nothing lost, no process left.

Skipped without vLLM (`make vllm`).
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from orphans import Process, assert_gone, family, named

from distill.engine.vllm import find_vllm
from distill.run import open_existing
from distill.traces import read_judged
from tests.conftest import needs

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc"),
]

ROOT = Path(__file__).parent.parent.parent
PROBLEMS, SAMPLES = 500, 2
RECIPE = f"""\
teacher: {{teacher}}
problems:
  - {{{{world: train, count: {PROBLEMS}, seed: 2}}}}
instruction:
  math: Put the answer in \\\\boxed{{{{}}}}.
  choice: Put the letter in \\\\boxed{{{{}}}}.
generate: {{{{samples: {SAMPLES}, max_tokens: 200}}}}
""".replace("\\\\", "\\")


@pytest.fixture(scope="module", autouse=True)
def vllm() -> None:
    if find_vllm() is None:
        needs("vllm", "run 'make vllm' and set DISTILL_VLLM_PYTHON to its Python")


@contextmanager
def generate(folder: Path, teacher: str = "tiny") -> Iterator["subprocess.Popen[str]"]:
    """`distill generate` at work on a run folder; killed if the test fails meanwhile."""
    recipe = folder / "recipe.yaml"
    recipe.write_text(RECIPE.format(teacher=teacher))
    command = [sys.executable, "-m", "distill", "generate", str(recipe)]
    with (
        (folder / "talk").open("w") as talk,
        subprocess.Popen(
            [*command, "--engine", "vllm", "--run", str(folder / "run")],
            cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=talk,
        ) as process,
    ):  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def wait_for(ready: Callable[[], object], process: "subprocess.Popen[str]", what: str) -> None:
    ends_by = time.monotonic() + 240
    while not ready():
        assert process.poll() is None, f"ended before {what}"
        assert time.monotonic() < ends_by, f"no {what}"
        time.sleep(0.05)


def traces(folder: Path) -> int:
    """Rows on disk, torn or not."""
    segments = (folder / "run/traces").glob("*/*.jsonl")
    return sum(segment.read_bytes().count(b"\n") for segment in segments)


def wait_until_at_work(folder: Path, process: "subprocess.Popen[str]", rows: int) -> set[Process]:
    """Until that many more traces are there; returns every process that came of the command."""
    before = traces(folder)
    wait_for(lambda: traces(folder) >= before + rows, process, "traces")
    there = family(process.pid)
    assert {named(there, word).pid for word in ("EngineCore", "VLLM::Worker")}
    return there


def api_server(there: set[Process]) -> Process:
    return named({p for p in there if "keeper.py" not in p.command}, "openai.api_server")


def assert_each_once(folder: Path) -> None:
    run = open_existing(folder / "run")
    planned = {(p.id, n) for p in run.read_problems() for n in range(SAMPLES)}
    judged = list(read_judged(run.path))
    found = [(row.trace.problem_id, row.trace.sample) for row in judged]
    assert len(found) == len(planned) == PROBLEMS * SAMPLES and set(found) == planned
    statuses = [row.verdict.status for row in judged if row.verdict is not None]
    assert len(statuses) == len(judged)
    assert statuses.count("correct") > 0.8 * len(judged)  # by its card 90.2%


def test_a_server_or_a_command_killed_in_the_middle_costs_nothing_but_what_was_in_flight(
    tmp_path: Path,
) -> None:
    """2 to 6 minutes: four starts of the server."""
    for victim in ("engine core", "API server"):
        with generate(tmp_path) as process:
            there = wait_until_at_work(tmp_path, process, rows=100)
            killed = (
                named(there, "VLLM::EngineCore") if victim == "engine core" else api_server(there)
            )
            os.kill(killed.pid, signal.SIGKILL)
            process.communicate(timeout=120)
        talk = (tmp_path / "talk").read_text()
        assert process.returncode == 2, talk
        (sentence,) = [line for line in talk.splitlines() if line.startswith("distill: ")]
        assert sentence.startswith("distill: vLLM ended (")
        assert "while it served 'tiny'" in sentence
        assert f"the whole log: {tmp_path / 'run/servers/tiny.log'}" in talk
        assert "Traceback" not in talk.partition("distill: ")[0]
        assert_gone(there)
        assert 100 <= traces(tmp_path) < PROBLEMS * SAMPLES, victim

    with generate(tmp_path) as process:
        there = wait_until_at_work(tmp_path, process, rows=100)
        process.kill()
        process.communicate()
        assert_gone(there)
    assert traces(tmp_path) < PROBLEMS * SAMPLES

    with generate(tmp_path) as process:
        process.communicate(timeout=300)
    assert process.returncode == 0, (tmp_path / "talk").read_text()
    assert_each_once(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_command_ended_while_the_server_loads_leaves_no_process(
    tmp_path: Path, number: signal.Signals
) -> None:
    """15 to 40 s each: struck when the engine core is there, long before it serves."""
    with generate(tmp_path) as process:

        def loads() -> bool:
            return any("EngineCore" in found.command for found in family(process.pid))

        wait_for(loads, process, "engine core")
        there = family(process.pid)
        process.send_signal(number)
        process.communicate(timeout=60)
        assert_gone(there)
    talk = (tmp_path / "talk").read_text()
    if number is not signal.SIGKILL:
        assert process.returncode == 130
        assert "distill: stopped" in talk and "Traceback" not in talk
    assert "vLLM serves" not in talk


def test_a_model_that_cannot_be_loaded_is_one_sentence_with_vllm_s_own_reason(
    tmp_path: Path,
) -> None:
    """20 to 60 s."""
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in (ROOT / "teachers/tiny").iterdir():
        (broken / file.name).write_bytes(file.read_bytes())
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100_000])
    card = tmp_path / "broken.yaml"
    card.write_text("name: broken\nmodel: ./broken\ncontext: 1024\nmax_tokens: 200\n")
    with generate(tmp_path, str(card)) as process:
        process.communicate(timeout=300)
    talk = (tmp_path / "talk").read_text()
    assert process.returncode == 2, talk
    (sentence,) = [line for line in talk.splitlines() if line.startswith("distill: ")]
    assert sentence.startswith(
        "distill: vLLM ended (exit status 1) before it could serve 'broken': "
    )
    assert "SafetensorError" in sentence
    assert talk.rstrip().endswith(f"the whole log: {tmp_path / 'run/servers/broken.log'}")
