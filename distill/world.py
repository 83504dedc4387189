"""The embedded world: small problems in plain English that need several steps.

Each step is one look-up (a sum below 50, an hour on the clock, who holds a card now), the whole is
a chain of 3 to 6 of them, and guessing the end without the steps is hard. A tiny teacher can learn
it in minutes on a CPU, and the ordinary checkers grade it, so the laptop run takes the same path as
a run on AIME. It is no benchmark of anything else.

    problems = world_problems("train", count=2000, seed=1)
    problems[0].prompt    # "A jar holds 7 beans. Put in 5. Take out 3. Double them. How many ...?"

Three families: ``jar`` and ``clock`` (kind math), ``cards`` (kind choice). A problem's id spells its
normalised sequence of operands and operations (``tiny/jar/7+5-3x2``), and a hash of that sequence
decides the split: a sequence that occurs in training can never occur in a test set, whatever the seed.
"""

import hashlib
import random
from collections.abc import Callable
from typing import Literal, NamedTuple

from distill.types import Kind, Problem

Split = Literal["train", "test", "longer"]

TRAINED_STEPS = (3, 6)  # the `longer` split has one step more than any trained chain
LARGEST = 24  # beans in a jar
MOST = 5  # beans put in or taken out, hours moved
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
NAMES = ("Ana", "Ben", "Cleo", "Dan", "Eva")
LETTERS = "ABCDE"
OPENERS = ("", "Let us see. ", "Day by day. ")  # so that two samples of one problem can differ

# The line added when asking. The tiny teacher learned with it; another wording confuses it.
INSTRUCTION: dict[Kind, str] = {
    "math": "Put the answer in \\boxed{}.",
    "choice": "Put the letter in \\boxed{}.",
}


class Solved(NamedTuple):
    """A problem with the chain of steps that solves it (what the tiny teacher is made from)."""

    problem: Problem
    reasoning: str
    response: str


def world_problems(split: Split, *, count: int, seed: int) -> list[Problem]:
    """``count`` distinct problems of one split, families in turn; the same for the same arguments."""
    return [solved.problem for solved in solved_problems(split, count=count, seed=seed)]


def solved_problems(split: Split, *, count: int, seed: int) -> list[Solved]:
    """As `world_problems`, each with a worked solution."""
    rng = random.Random(f"{split}/{seed}")
    low, high = TRAINED_STEPS
    families = list(FAMILIES.values())
    found: dict[str, Solved] = {}
    while len(found) < count:
        steps = high + 1 if split == "longer" else rng.randint(low, high)
        solved = families[len(found) % len(families)](rng, steps, split)
        if split_of(solved.problem.id) == ("train" if split == "train" else "test"):
            opened = rng.choice(OPENERS) + solved.reasoning
            found.setdefault(solved.problem.id, solved._replace(reasoning=opened))
    return list(found.values())


def split_of(problem_id: str) -> Literal["train", "test"]:
    """Which side of the wall a sequence of operands and operations stands on: one in eight is test."""
    return "test" if hashlib.sha256(problem_id.encode()).digest()[0] < 32 else "train"


def jar(rng: random.Random, steps: int, split: Split) -> Solved:
    """Beans in a jar: put in, take out, double; between 1 and LARGEST all the way."""
    start = value = rng.randint(1, 9)
    sentences, chain, code = [], [], str(value)
    for day in _days(rng, steps):
        operand = rng.randint(1, MOST)
        results = {"+": value + operand, "-": value - operand, "x": 2 * value}
        operation = rng.choice([sign for sign, after in results.items() if 0 < after <= LARGEST])
        if operation == "x":
            operand = 2
        text = {"+": f"put in {operand}", "-": f"take out {operand}", "x": "double them"}[operation]
        sentences.append(f"{day}: {text}.")
        chain.append(f"{day}: {value} {operation} {operand} = {results[operation]}.")
        code += f"{operation}{operand}"
        value = results[operation]
    prompt = f"A jar holds {start} beans. {' '.join(sentences)} How many beans are in the jar?"
    return _solved(
        split, "jar", code, prompt, chain, str(value), f"The jar holds \\boxed{{{value}}} beans."
    )


def clock(rng: random.Random, steps: int, split: Split) -> Solved:
    """The hour hand of a clock, on and back."""
    start = hour = rng.randint(1, 12)
    sentences, chain, code = [], [], str(hour)
    for day in _days(rng, steps):
        operand, forward = rng.randint(1, MOST), rng.random() < 0.5
        after = (hour + (operand if forward else -operand) - 1) % 12 + 1
        word = "on" if forward else "back"
        sentences.append(f"{day}: move it {word} {operand}.")
        chain.append(f"{day}: {hour} {word} {operand} = {after}.")
        code += f"{'+' if forward else '-'}{operand}"
        hour = after
    prompt = f"A clock shows {start}. {' '.join(sentences)} Which hour does it show?"
    return _solved(
        split, "clock", code, prompt, chain, str(hour), f"The clock shows \\boxed{{{hour}}}."
    )


def cards(rng: random.Random, steps: int, split: Split) -> Solved:
    """Who holds the star after some trades? Five names, offered as options A to E."""
    holder = rng.choice(NAMES)
    start, sentences, chain, code = holder, [], [], holder
    for day in _days(rng, steps):
        # Two trades in three touch the holder, else most chains would end where they began.
        first = holder if rng.random() < 0.67 else rng.choice(NAMES)
        second = rng.choice([name for name in NAMES if name != first])
        pair = sorted((first, second))
        sentences.append(f"{day}: {pair[0]} and {pair[1]} trade.")
        before = holder
        if holder in pair:
            holder = pair[1] if holder == pair[0] else pair[0]
        chain.append(f"{day}: {before}, {pair[0]} and {pair[1]} = {holder}.")
        code += f"/{pair[0]}-{pair[1]}"
    letter = LETTERS[NAMES.index(holder)]
    chain.append(f"{holder} is {letter}.")
    prompt = f"{start} holds the star. {' '.join(sentences)} Who holds the star?"
    return _solved(
        split,
        "cards",
        code,
        prompt,
        chain,
        letter,
        f"The answer is \\boxed{{{letter}}}.",
        list(NAMES),
    )


def _days(rng: random.Random, steps: int) -> list[str]:
    """``steps`` days in a row from any day on, so that each day is met in training."""
    first = rng.randrange(len(DAYS))
    return [DAYS[(first + step) % len(DAYS)] for step in range(steps)]


def _solved(
    split: Split,
    family: str,
    code: str,
    prompt: str,
    chain: list[str],
    answer: str,
    response: str,
    choices: list[str] | None = None,
) -> Solved:
    problem = Problem(
        id=f"tiny/{family}/{code}", prompt=prompt, kind="choice" if choices else "math", answer=answer,
        source=f"tiny/{split}", licence="Apache-2.0", topic=family, language="en", choices=choices,
    )  # fmt: skip
    return Solved(problem, " ".join(chain), response)


FAMILIES: dict[str, Callable[[random.Random, int, Split], Solved]] = {
    "jar": jar,
    "clock": clock,
    "cards": cards,
}
