"""Why reasoning, why verification: measured in the embedded world, at equal training tokens.

    python tests/bench/why.py                  # three seeds, about 25 minutes on two cores
    python tests/bench/why.py --seeds 1 --steps 100 --problems 600     # a quick look

(a) The same correct traces with their reasoning, and with the answer alone.
(b) One degraded teacher (hotter sampling), the same generated traces: only the verified ones, as many
    unverified ones, and all unverified ones.

Every arm trains the same student for the same number of steps of the same number of tokens; only the
rows differ. What comes out holds for this world and nothing else.
"""

import argparse
import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from distill import jsonl
from distill.cards import ProblemSource
from distill.recipe import Evaluate, Generate, Recipe, Train
from distill.run import Run, open_run
from distill.types import Example
from distill.world import INSTRUCTION
from distill.yamlfile import dump_yaml

T_95 = {1: math.inf, 2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}  # Student's t by number of seeds

ARMS = {
    "reasoning": "correct traces, reasoning and answer",
    "answers": "the same traces, answer alone",
    "verified": "hot teacher: its correct traces",
    "unverified_equal": "hot teacher: as many traces, unverified",
    "unverified_all": "hot teacher: all its traces, unverified",
}


class Result(NamedTuple):
    arm: str
    rows: int
    values: list[float]

    @property
    def mean(self) -> float:
        return statistics.mean(self.values)

    @property
    def half(self) -> float:
        """Half the 95% interval of the mean over seeds (Student's t)."""
        if len(self.values) < 2:
            return math.nan
        spread = statistics.stdev(self.values) / math.sqrt(len(self.values))
        return T_95[len(self.values)] * spread


def recipe(options: argparse.Namespace, *, seed: int, temperature: float | None) -> Recipe:
    return Recipe(
        problems=[ProblemSource(world="train", count=options.problems, seed=1)],
        instruction=INSTRUCTION,
        students=["tiny-qwen"],
        generate=Generate(samples=2, temperature=temperature, max_tokens=200),
        train=Train(
            # Enough epochs that every arm reaches its steps: rows repeat, tokens are equal.
            epochs=1000, max_steps=options.steps, length=512, tokens_per_step=options.tokens_per_step,
            rows_per_forward=2, seed=seed,
        ),
        evaluate=Evaluate(benchmarks=["tiny"], samples=2, base=False, teacher=False),
    )  # fmt: skip


def distill(*arguments: str) -> None:
    """One command of ours, as a user runs it. One thread: two arms train side by side."""
    done = subprocess.run(
        [sys.executable, "-m", "distill", *arguments], capture_output=True, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"distill {' '.join(arguments)}: {done.stderr[-2000:]}")


def make_run(folder: Path, choices: Recipe) -> Run:
    folder.mkdir(parents=True, exist_ok=True)
    jsonl.write_bytes(folder / "recipe.yaml", dump_yaml(choices).encode())
    return open_run(folder)


def teacher_run(folder: Path, options: argparse.Namespace, temperature: float | None) -> Run:
    run = make_run(folder, recipe(options, seed=0, temperature=temperature))
    distill("generate", "--run", str(folder))
    distill("filter", "--run", str(folder))
    return run


def examples(run: Run) -> list[Example]:
    return list(jsonl.read(run.kept, Example))


def unverified(run: Run, folder: Path) -> list[Example]:
    """What filter keeps of the same traces when it does not look at the verdict."""
    blind = msgspec.structs.replace(
        run.recipe,
        filter=msgspec.structs.replace(
            run.recipe.filter, keep_status=["correct", "wrong", "no_answer"]
        ),
    )
    other = make_run(folder, blind)
    for name in ("problems.jsonl", "series.json", "traces", "verdicts"):
        if not (folder / name).exists():
            (folder / name).symlink_to(run.path / name)
    distill("filter", "--run", str(folder))
    return examples(other)


def without_reasoning(rows: Iterable[Example]) -> list[Example]:
    """The same answers with an empty think block, each once."""
    found: dict[bytes, Example] = {}
    for row in rows:
        *asked, said = row.messages
        answer = said.content.rpartition("</think>")[2].lstrip()
        empty = msgspec.structs.replace(said, content=f"<think>\n\n</think>\n\n{answer}")
        found.setdefault(
            msgspec.json.encode([row.problem_id, answer]),
            msgspec.structs.replace(row, messages=[*asked, empty]),
        )
    return list(found.values())


def measure(
    arm: str, rows: list[Example], seed: int, folder: Path, options: Any, origin: Run
) -> float:
    """Train one student on these rows and return its pass@1 on ``tiny``."""
    place = folder / f"{arm}-{seed}"
    run = make_run(place, recipe(options, seed=seed, temperature=None))
    jsonl.write_rows(run.kept, rows)
    if not run.problems.exists():
        run.problems.symlink_to(origin.problems)
    distill("train", "--run", str(place), "--student", "tiny-qwen")
    distill("eval", "--run", str(place))
    scores = json.loads(run.scores.read_bytes())["scores"]
    value = next(s["value"] for s in scores if s["role"] == "student" and s["benchmark"] == "tiny")
    print(f"{arm} seed {seed}: {len(rows):,} rows, {value:.1%}", file=sys.stderr, flush=True)
    return float(value)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--tokens-per-step", type=int, default=1024)
    parser.add_argument("--problems", type=int, default=3000)
    parser.add_argument("--hot", type=float, default=1.5, help="the degraded teacher's temperature")
    parser.add_argument("--folder", type=Path, default=None, help="keep the runs here, resumable")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    folder = (options.folder or Path(tempfile.mkdtemp(prefix="why-"))).resolve()

    cool = teacher_run(folder / "teacher", options, None)
    hot = teacher_run(folder / "hot", options, options.hot)
    every = unverified(hot, folder / "hot-unverified")
    good, verified = examples(cool), examples(hot)
    rows: dict[str, Callable[[int], list[Example]]] = {
        "reasoning": lambda seed: good,
        "answers": lambda seed: without_reasoning(good),
        "verified": lambda seed: verified,
        "unverified_equal": lambda seed: random.Random(seed).sample(every, len(verified)),
        "unverified_all": lambda seed: every,
    }
    jobs = [(arm, seed) for seed in range(options.seeds) for arm in ARMS]
    with ThreadPoolExecutor(max_workers=2) as pool:
        values = list(pool.map(
            lambda job: measure(job[0], rows[job[0]](job[1]), job[1], folder, options, cool), jobs
        ))  # fmt: skip
    results = [
        Result(
            arm, len(rows[arm](0)), [v for (a, _), v in zip(jobs, values, strict=True) if a == arm]
        )
        for arm in ARMS
    ]
    tokens = options.steps * options.tokens_per_step
    print(f"in the embedded world, {tokens:,} training tokens an arm, {options.seeds} seeds:")
    for result in results:
        print(
            f"  {ARMS[result.arm]:42} {result.rows:6,} rows  {result.mean:6.1%} ± {result.half:.1%}"
            f"   ({', '.join(f'{value:.1%}' for value in result.values)})"
        )
    if options.json:
        by_arm = {result.arm: result for result in results}
        ours, peer = by_arm["verified"].mean, by_arm["unverified_equal"].mean
        print(json.dumps({
            "name": "why", "ours": ours, "peer": peer, "ratio": ours / max(peer, 1e-9),
            "peer_name": "the same rows unverified", "unit": "pass@1",
            "training_tokens": tokens, "hot": options.hot,
            "arms": {r.arm: {"rows": r.rows, "values": r.values, "mean": r.mean, "half": r.half}
                     for r in results},
        }))  # fmt: skip


if __name__ == "__main__":
    main()
