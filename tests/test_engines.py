"""The quickstart with other engines: real vLLM on this machine's CPU, and an endpoint card that names it.

The local engine's scores of the same weights stand beside. `make proof` (DISTILL_FULL=1) runs the whole
quickstart, holds its gate, and trains on the endpoint's traces, too; else a quarter of the problems will do
to compare engines.
"""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from distill.engine.vllm import PYTHON
from tests.conftest import FULL, ROOT, needs

pytestmark = pytest.mark.slow
PORT = 18765
RECIPE = (ROOT / "examples" / "quickstart.yaml").read_text()
if not FULL:
    RECIPE = RECIPE.replace("count: 6000", "count: 1500").replace("epochs: 5", "epochs: 2")
    RECIPE = RECIPE.replace("[tiny, tiny-longer]", "[tiny]")
ENDPOINT = f"""\
name: served-tiny
model: tiny
licence: Apache-2.0
context: 4096
max_tokens: 200
sampling: {{temperature: 1.0}}
endpoint: {{urls: ["http://127.0.0.1:{PORT}/v1"], in_flight: 256}}
"""


class Interval(NamedTuple):
    value: float
    low: float
    high: float


def distill(*arguments: str, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "distill", *arguments], cwd=cwd, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=2400,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stderr


def scores(run: Path) -> dict[str, Interval]:
    """By role, on the benchmark `tiny`: these problems, asked again."""
    rows = json.loads((run / "scores.json").read_bytes())["scores"]
    return {
        row["role"]: Interval(row["value"], row["sampling_low"], row["sampling_high"])
        for row in rows
        if row["benchmark"] == "tiny"
    }


def overlap(one: Interval, other: Interval) -> bool:
    return one.low <= other.high and other.low <= one.high


@pytest.fixture(scope="module")
def by_vllm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a quickstart whose every reply came from vLLM."""
    if PYTHON not in os.environ:
        needs("vllm", f"`make vllm` builds one; {PYTHON} names its Python")
    folder = tmp_path_factory.mktemp("vllm")
    (folder / "recipe.yaml").write_text(RECIPE)
    said = distill("run", "recipe.yaml", "--engine", "vllm", cwd=folder)
    assert said.count("engine for 'tiny': vllm (as asked)") == 2, (
        said
    )  # generate, and eval's teacher
    return folder / "run"


def test_the_quickstart_by_vllm_scores_as_by_the_local_engine(by_vllm: Path) -> None:
    """5 minutes (in full 9): four servers, one training; then the same weights in process."""
    again = by_vllm.with_name("local")
    shutil.copytree(by_vllm, again, ignore=shutil.ignore_patterns("eval", "scores.json", "traces"))
    distill("eval", "--engine", "local", "--run", "local", cwd=by_vllm.parent)
    vllm, local = scores(by_vllm), scores(again)
    print(f"vllm {vllm}\nlocal {local}")
    for role in ("base", "student", "teacher"):
        assert overlap(vllm[role], local[role]), role
    if FULL:
        assert vllm["student"].value >= 0.9 * vllm["teacher"].value


@pytest.fixture(scope="module")
def endpoint(by_vllm: Path) -> Iterator[None]:
    """The tiny teacher behind a URL, by `distill serve`."""
    server = subprocess.Popen(
        [sys.executable, "-m", "distill", "serve", "teachers/tiny", "--port", str(PORT)],
        cwd=by_vllm.parent, env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 300
        while not answers(f"http://127.0.0.1:{PORT}/v1/models"):
            assert server.poll() is None and time.monotonic() < deadline
            time.sleep(1)
        yield
    finally:
        server.terminate()
        server.wait(60)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False


def test_the_quickstart_by_an_endpoint_card_scores_as_by_the_local_engine(
    by_vllm: Path, endpoint: None
) -> None:
    """2 minutes (in full 7): the teacher's traces and its score; in full the student's, too."""
    folder = by_vllm.parent
    (folder / "served.yaml").write_text(ENDPOINT)
    recipe = RECIPE.replace("teacher: tiny ", "teacher: ./served.yaml ")
    if not FULL:
        recipe = recipe.replace("students: [tiny-qwen]", "students: []")
    assert "./served.yaml" in recipe
    (folder / "by-endpoint.yaml").write_text(recipe)
    said = distill("run", "by-endpoint.yaml", "--run", "endpoint", cwd=folder)
    assert "engine for 'served-tiny': endpoint" in said
    found, vllm = scores(folder / "endpoint"), scores(by_vllm)
    print(f"endpoint {found}")
    assert overlap(found["teacher"], vllm["teacher"])
    if FULL:
        assert found["student"].value >= 0.9 * found["teacher"].value
