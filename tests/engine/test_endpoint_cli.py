"""``distill generate`` with a card of one's own against a scripted server: as a user meets it."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from scripted_server import Fault, ScriptedServer

from distill.traces import read_judged
from distill.world import solved_problems

ROOT = Path(__file__).parent.parent.parent
KEY = "sk-canary-9d2f7a31"
PROBLEMS, SAMPLES = 30, 2

CARD = """\
name: mine
model: scripted
max_tokens: 300
endpoint:
  urls: [{url}]
  key: MY_KEY
  in_flight: 8
"""
RECIPE = f"""\
teacher: ./mine.yaml
engine: endpoint
problems:
  - {{world: train, count: {PROBLEMS}, seed: 1}}
generate: {{samples: {SAMPLES}}}
"""
# The command as it is, but for its patience.
COMMAND = (
    "import distill.engine.endpoint as endpoint; endpoint.PATIENCE_S = 1.0; "
    "from distill.cli import main; main()"
)


def generate(folder: Path, url: str, key: str | None = KEY) -> "subprocess.CompletedProcess[str]":
    (folder / "mine.yaml").write_text(CARD.format(url=url))
    (folder / "recipe.yaml").write_text(RECIPE)
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"}
    if key is not None:
        environment["MY_KEY"] = key
    return subprocess.run(
        [sys.executable, "-c", COMMAND, "generate", "recipe.yaml"],
        cwd=folder, capture_output=True, text=True, timeout=120, env=environment,
    )  # fmt: skip


def sentences(done: "subprocess.CompletedProcess[str]") -> list[str]:
    assert "Traceback" not in done.stderr and KEY not in done.stdout + done.stderr
    return [line for line in done.stderr.splitlines() if line.startswith("distill: ")]


def assert_complete(folder: Path) -> None:
    judged = list(read_judged(folder / "run"))
    identities = Counter(row.trace.identity for row in judged)
    assert len(identities) == PROBLEMS * SAMPLES and set(identities.values()) == {1}
    assert all(row.verdict is not None for row in judged)


@pytest.mark.parametrize("split", ["content", "reasoning", "reasoning_content"])
def test_all_traces_are_made_and_judged_wherever_the_thoughts_stand(
    tmp_path: Path, split: str
) -> None:
    solved = solved_problems("train", count=PROBLEMS, seed=1)
    with ScriptedServer(solved, key=KEY, split=split, cut=0.2) as server:  # type: ignore[arg-type]
        done = generate(tmp_path, server.url)
    assert (done.returncode, sentences(done)) == (0, [])
    assert_complete(tmp_path)
    judged = list(read_judged(tmp_path / "run"))
    assert all(row.trace.reasoning and "think>" not in row.trace.response for row in judged)
    statuses = {(row.trace.finish, row.verdict.status) for row in judged if row.verdict}
    assert statuses == {("stop", "correct"), ("length", "no_answer")}
    assert not any(KEY.encode() in file.read_bytes() for file in tmp_path.rglob("*.json*"))
    assert "seed" not in server.bodies[0]


def test_a_wrong_port_and_a_wrong_key_are_one_sentence_each(tmp_path: Path) -> None:
    with ScriptedServer(key=KEY) as server:
        wrong = generate(tmp_path, server.url, "sk-other")
        missing = generate(tmp_path, server.url, None)
    gone = generate(tmp_path, server.url)
    for done, says in (
        (wrong, "does not accept the key in the environment variable MY_KEY"),
        (missing, "wants a key (401, 'bad key: nothing'): put it into the environment variable MY_KEY"),
        (gone, "cannot be reached (Connection refused)"),
    ):  # fmt: skip
        (sentence,) = sentences(done)
        assert done.returncode == 2 and says in sentence and server.url in sentence


def test_a_server_that_dies_costs_nothing_that_was_finished(tmp_path: Path) -> None:
    solved = solved_problems("train", count=PROBLEMS, seed=1)
    with ScriptedServer(solved, key=KEY, delay_s=0.02, stop_after=25) as server:
        died = generate(tmp_path, server.url)
        (sentence,) = sentences(died)
        assert died.returncode == 2
        assert f"{server.url} has failed for" in sentence and "Connection refused" in sentence
        assert "the same command goes on from there" in sentence
        assert len(list(read_judged(tmp_path / "run"))) == server.answered == 25
        server.stop()
        server.stop_after = None
        server.start()
        done = generate(tmp_path, server.url)
    assert done.returncode == 0, done.stderr
    assert_complete(tmp_path)
    assert server.answered == PROBLEMS * SAMPLES


def test_a_run_of_which_nothing_can_be_asked_fails_and_says_so(tmp_path: Path) -> None:
    too_long = Fault(400, {"error": {"message": "prompt is too long"}})
    with ScriptedServer(key=KEY, always=too_long) as server:
        done = generate(tmp_path, server.url)
    total = PROBLEMS * SAMPLES
    assert f"0 of {total} traces, 0 made now: {total} cannot be asked (failed.jsonl)" in done.stdout
    (sentence,) = sentences(done)
    assert done.returncode == 2
    assert f"none of the {total} planned traces can be asked" in sentence


STOPPED_TWICE = """
import os, signal, time
from distill.cli import cli, main
@cli.command()
def wait():
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(9)
    finally:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.05)
        print("cleaned up")
main(["wait"])
"""


def test_a_second_sigterm_does_not_disturb_the_cleaning_up() -> None:
    done = subprocess.run(
        [sys.executable, "-c", STOPPED_TWICE], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (130, "cleaned up\n")
    assert sentences(done)[0].startswith("distill: stopped")
