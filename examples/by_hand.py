"""The whole pipeline as plain calls: what `distill run` does, without the run folder's bookkeeping.

    python examples/by_hand.py            # a few minutes on a laptop

Read it to learn the pieces, then use the ones you need: each call below works on its own.
"""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from distill import jsonl
from distill.cards import ProblemSource, load_teacher, model_of
from distill.engine.choose import open_engine
from distill.engine.protocol import Served
from distill.evaluate.statistics import pass_at_1
from distill.generate.produce import produce
from distill.problems import load_problems, render_prompt
from distill.recipe import Evaluate, Filter, Recipe, Train
from distill.run import Run
from distill.series import Asker, template_hash, weights_revision
from distill.traces import join_reasoning, read_judged
from distill.train.loop import train
from distill.types import Example, Message, Problem, Rejected, Sampling
from distill.verify.pool import CheckPool
from distill.world import INSTRUCTION


def ask(folder: Path, model: str, name: str, problems: Sequence[Problem], samples: int) -> None:
    """Let one model answer problems; its traces and verdicts land below ``folder``."""

    async def go() -> None:
        engine = open_engine("local", Served(name, model))
        asker = Asker(
            model=name,
            revision=weights_revision(model),
            template=template_hash(model),
            instruction=INSTRUCTION,
            sampling=Sampling(temperature=1.0, max_tokens=200),
        )
        with CheckPool() as pool:
            await produce(folder, problems, asker, engine, pool, samples=samples)
        await engine.close()

    asyncio.run(go())


def main(count: int = 6000, epochs: float = 5) -> float:
    """The whole path; returns the student's score."""
    folder = Path(tempfile.mkdtemp(prefix="by-hand-"))

    # 1. Problems: from our small generator here; `file=` and `dataset=` work the same way.
    rejected: list[Rejected] = []
    training = ProblemSource(world="train", count=count, seed=1)
    problems = list(load_problems([training], rejected.append))
    test = list(load_problems([ProblemSource(world="test", count=200, seed=7)], rejected.append))
    by_id = {problem.id: problem for problem in problems}

    # 2. Traces and verdicts: killed here and started again, it would go on where it stopped.
    card = load_teacher("tiny")
    teacher = model_of("tiny")
    assert teacher
    ask(folder, teacher, card.name, problems, samples=2)

    # 3. What is learned: every correct trace once.
    def kept() -> list[Example]:
        rows: dict[tuple[str, str], Example] = {}
        for trace, verdict in read_judged(folder):
            if verdict is None or verdict.status != "correct":
                continue
            said = join_reasoning(trace.reasoning, trace.response)
            prompt = render_prompt(by_id[trace.problem_id], INSTRUCTION)
            messages = [*prompt, Message(role="assistant", content=said)]
            rows[trace.problem_id, said] = Example(**trace.identity._asdict(), messages=messages)
        return [rows[key] for key in sorted(rows)]

    statuses = Counter(row.verdict.status for row in read_judged(folder) if row.verdict)
    run = Run(
        folder,
        Recipe(
            problems=[training],
            instruction=INSTRUCTION,
            filter=Filter(),
            train=Train(
                epochs=epochs,
                length=512,
                tokens_per_step=2048,
                weight_decay=0.1,
                rows_per_forward=4,
            ),
            evaluate=Evaluate(),
        ),
    )
    examples = kept()
    jsonl.write_rows(run.kept, examples)
    print(f"{statuses.total():,} traces ({dict(statuses)}) → {len(examples):,} examples")

    # 4. A student, from a random start, under DeepSpeed ZeRO-2.
    student = train(run, "tiny-qwen")

    # 5. Its score beside the teacher's, on problems that neither was trained on.
    for name, model in (("teacher", teacher), ("student", student.path)):
        place = folder / "eval" / name
        ask(place, model, name, test, samples=1)
        right = Counter(
            row.trace.problem_id
            for row in read_judged(place)
            if row.verdict and row.verdict.status == "correct"
        )
        score = pass_at_1([right[problem.id] for problem in test], 1, seed=0)
        low, high = score.problems
        print(f"{name}: {score.value:.1%} right [{low:.1%}, {high:.1%}]")
    print(f"everything is in {folder}")
    return score.value


if __name__ == "__main__":
    main()
