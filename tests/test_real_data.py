"""Real problems and real traces through the whole path. Skipped where the data is not there."""

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from distill import jsonl
from distill.cards import ProblemSource
from distill.recipe import Evaluate, Filter, Generate, Recipe
from distill.run import open_existing
from distill.traces import read_judged
from distill.yamlfile import dump_yaml


def distill(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "distill", *arguments], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
def test_gsm8k_and_math_go_through_generate_verify_and_filter(
    real_data: Path, tmp_path: Path
) -> None:
    """About 60 s. The tiny teacher knows nothing of them: nearly all wrong is right."""
    recipe = Recipe(
        problems=[
            ProblemSource(file=str(real_data / "gsm8k/test.jsonl"), count=200, source="gsm8k"),
            ProblemSource(
                file=str(real_data / "math_train_test/train.jsonl.zst"), count=200, source="math"
            ),
        ],
        instruction={"math": "Put the answer in \\boxed{}."},
        generate=Generate(samples=1, max_tokens=64),
        filter=Filter(overlap=False),
        evaluate=Evaluate(),
    )
    folder = tmp_path / "run"
    jsonl.write_bytes(folder / "recipe.yaml", dump_yaml(recipe).encode())
    distill("generate", "--run", str(folder))
    distill("verify", "--run", str(folder))
    funnel = json.loads(distill("filter", "--run", str(folder), "--json"))
    judged = list(read_judged(folder))
    assert len(judged) == funnel["judged"] == 400
    assert funnel["kept"] + sum(funnel["dropped"].values()) == 400
    assert funnel["kept"] <= 20
    assert all(row.verdict is not None for row in judged)
    rows = jsonl.seal(open_existing(folder).kept).rows + jsonl.seal(folder / "dropped.jsonl").rows
    assert rows == 400


@pytest.mark.slow
def test_500_real_traces_go_through_verify_and_filter_as_a_plain_file(
    real_data: Path, tmp_path: Path
) -> None:
    """About 20 s."""
    some = tmp_path / "some.jsonl"
    lines = jsonl.lines(real_data / "traces_sky_t1/traces.jsonl.zst")
    rows = [line.data for line, _ in zip(lines, range(500), strict=False)]
    some.write_bytes(b"\n".join(rows) + b"\n")
    out = tmp_path / "out"
    counts = json.loads(distill("verify", str(some), "--out", str(out), "--json"))
    assert counts["judged"] + counts["rejected"] == 500
    funnel = json.loads(distill("filter", str(some), "--out", str(out), "--json"))
    assert funnel["judged"] + funnel["rejected"] == 500
    assert funnel["kept"] + sum(funnel["dropped"].values()) == funnel["judged"]
    assert funnel["kept"] > 200
    labelled = {row["id"]: row["correct"] for row in map(msgspec.json.decode, rows)}
    verdicts = list(jsonl.read(out / "verdicts.jsonl", dict))
    agree = sum((row["status"] == "correct") == labelled[row["id"]] for row in verdicts)
    # 94.2% when written: the labels are automatic, and these first rows hold many cut traces.
    assert agree / len(verdicts) > 0.93
