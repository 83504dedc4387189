"""Benchmarks: a card's problems, and whether the student has seen them in training.

    benchmark = load("tiny", recipe.evaluate)
    benchmark.problems, benchmark.samples, benchmark.sampling
    overlap_count(run, benchmark.problems)       # 0: no test problem occurs in training

A recipe may change how often and how hot a benchmark is asked; what is asked is the card's. Near
copies in other words are not found here: dropping traces of those is filter's work.
"""

import hashlib
import re
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from distill import cards
from distill.errors import DistillError
from distill.jsonl import encode
from distill.problems import load_problems
from distill.recipe import Evaluate
from distill.run import Run
from distill.types import Problem, Rejected, Sampling
from distill.verify.check import require_checkers


class Benchmark(NamedTuple):
    """A benchmark as one run asks it."""

    name: str
    problems: list[Problem]
    instruction: str | None
    samples: int
    sampling: Sampling

    @property
    def sha256(self) -> str:
        """Of the problem list as JSON lines: it changes when the benchmark does."""
        digest = hashlib.sha256()
        for problem in self.problems:
            digest.update(encode(problem))
        return digest.hexdigest()


def load(name: str, recipe: Evaluate, *, sandbox: str = "auto") -> Benchmark:
    """A benchmark by card name or path. Raises `DistillError` for a row that cannot be used: a
    score over the rows that happened to read would not be this benchmark's."""
    card = cards.load_benchmark(name)
    kind = cards.resolve(card.problems).kind
    if kind is not None:  # said before anything is fetched
        try:
            require_checkers([kind], sandbox=sandbox)
        except DistillError as error:
            raise DistillError(f"benchmark '{name}': {error}") from None
    problems = list(load_problems([card.problems], _refuse))
    if not problems:
        raise DistillError(f"benchmark '{name}' holds no problems")
    samples = card.samples if recipe.samples is None else recipe.samples
    if samples < 1:
        raise DistillError(f"benchmark '{name}': 'samples' is {samples}; it must be above 0")
    sampling = Sampling(
        temperature=card.temperature if recipe.temperature is None else recipe.temperature,
        top_p=card.top_p if recipe.top_p is None else recipe.top_p,
        max_tokens=card.max_tokens if recipe.max_tokens is None else recipe.max_tokens,
    )
    return Benchmark(card.name, problems, card.instruction, samples, sampling)


def overlap_count(run: Run, problems: Iterable[Problem]) -> int | None:
    """How many of these problems occur among the run's own: by id (in the embedded world it spells
    the normalised sequence of operands and operations) or by normalised text. None: no problems yet."""
    if not run.problems.exists():
        return None
    ids, texts = set(), set()
    for problem in run.read_problems():
        ids.add(problem.id)
        texts.add(_normal(problem))
    return sum(problem.id in ids or _normal(problem) in texts for problem in problems)


def _normal(problem: Problem) -> bytes:
    """16 bytes that stand for a problem's letters, digits and signs, choices in any order."""
    parts = [problem.text, *sorted(problem.choices or [])]
    text = msgspec.json.encode([re.sub(r"\s+", " ", part).strip().casefold() for part in parts])
    return hashlib.blake2b(text, digest_size=16).digest()


def _refuse(bad: Rejected) -> None:
    raise DistillError(
        f"{bad.where}: {bad.reason}; mend the row: a benchmark is scored whole or not"
    )
