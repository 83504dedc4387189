"""``distill run`` with a scripted engine in place of every model's: for tests that kill it.

    python tests/scripted_run.py RUN_FOLDER RECIPE

Everything else is real: the ledger, the checkers' processes, filter, DeepSpeed, scores, report. The
replies are a function of the identity alone, so two runs must agree byte for byte however often one of
them was killed.
"""

import sys
from pathlib import Path

from scripted_engine import ScriptedEngine

from distill.cards import load_benchmark
from distill.engine.protocol import Engine
from distill.evaluate.evaluate import Subject, evaluate_run
from distill.filter.filter import filter_run
from distill.generate.generate import generate_run
from distill.recipe import Recipe
from distill.report.html import write_report
from distill.run import Run, open_run
from distill.train.loop import train
from distill.world import Solved, solved_problems


def world_of(recipe: Recipe) -> list[Solved]:
    """Every problem that the recipe and its benchmarks ask, with its solution."""
    sources = [*recipe.problems]
    sources += [load_benchmark(name).problems for name in recipe.evaluate.benchmarks]
    return [
        solved
        for source in sources
        if source.world is not None
        for solved in solved_problems(source.world, count=source.count or 1000, seed=source.seed)
    ]


def main(folder: Path, recipe_name: str) -> None:
    run = open_run(folder, recipe_name)
    solved = world_of(run.recipe)

    def opener(run: Run, subject: Subject) -> Engine:
        return ScriptedEngine(solved, delay_s=0.05)

    for stage in ("generate", "filter", "train", "eval", "report"):
        print(f"stage {stage}", flush=True)  # the killer reads where it strikes
        if stage == "generate":
            generate_run(run, engine=ScriptedEngine(solved, delay_s=0.2, in_flight=16))
        elif stage == "filter":
            filter_run(run)
        elif stage == "train":
            train(run, "tiny-qwen")
        elif stage == "eval":
            evaluate_run(run, opener=opener)
        else:
            write_report(run)
    print("stage end", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
