"""What the scorer of a reasoning-gym task says of an answer.

    item = Item(problem_id="q1", kind="gym", gym=Gym(task="gcd", entry='{"answer": "4"}'),
                response="<answer>4</answer>")
    check_gym(item).status        # "correct": the score is 1.0. A partial score is "wrong", with its detail

The answer stands in ``<answer>`` tags, in a ``\\boxed{}`` or after "the answer is". The scorers call
`eval` and sympy's parsers on what a model wrote. So their `eval` is replaced by one that reads plain data
and integer arithmetic only, and a text for sympy's parser must be made of numbers, symbols and functions
of mathematics. An exception of a scorer is no verdict on the answer (the worker says ``checker_error``).
"""

import ast
import builtins
import importlib.util
import json
import operator
import re
import sys
from collections.abc import Callable
from functools import cache
from importlib import metadata
from typing import Any, NamedTuple

from distill.verify.answers import TAIL, extract
from distill.verify.item import Item, Judgement

VERSION = "gym/1"

# Their scorers give the answer to sympy.parse_expr, which runs it. A test compares with the sources.
PARSED = {
    "countdown",
    "intermediate_integration",
    "polynomial_multiplication",
    "puzzle24",
    "simple_integration",
}
# Its scorer (0.1.25) compares bool(text): every text that is not empty is right, "False" for "True" too.
MENDED = {"game_of_life_halting"}
_HARMLESS = {"abs", "max", "min", "pow", "round", "sum", "E", "I", "pi", "oo", "Rational"}
_NOT_MATHS = re.compile(r"""["'`\\;:@#\[\]{}]|__|\.\s*[A-Za-z_]""")
_NAME = re.compile(r"[^\W\d]\w*")

_TEXT = re.compile(r"\\(?:text|textbf|texttt|textrm|mathrm|mathbf|mbox)\s*\{([^{}]*)\}")
_ESCAPED = re.compile(r"\\([{}%#&_$])")
_SPACE = re.compile(r"\\[,;:! ]|~")

Scorer = Callable[[str, dict[str, Any]], float]


class Found(NamedTuple):
    """The answer as written, and in the readings that a scorer may be asked about."""

    text: str
    readings: list[str]


def is_installed() -> bool:
    """Whether the extra `gym` is there; imports nothing."""
    return importlib.util.find_spec("reasoning_gym") is not None


def prepare() -> None:
    """The imports: 0.7 s, which are no part of an item's deadline."""
    import reasoning_gym  # noqa: F401


def check_gym(item: Item) -> Judgement:
    """Score one response. May hang, and raises what the scorer raises: only for worker processes."""
    checker = f"{VERSION}:reasoning-gym-{metadata.version('reasoning-gym')}"
    found = final_answer(item.response)
    if item.gym is None:
        return Judgement(
            status="checker_error", checker=checker, detail="the problem has no 'gym' to score with"
        )
    if found is None:
        return Judgement(status="no_answer", expected=item.expected, checker=checker)
    said, why = 0.0, None
    entry: dict[str, Any] = json.loads(item.gym.entry)
    score = scorer(item.gym.task, item.gym.config)
    for reading in found.readings:
        why = not_maths(reading) if item.gym.task in PARSED else None
        said = max(said, 0.0 if why else score(reading, entry))
        if said >= 1.0:
            break
    return Judgement(
        status="correct" if said >= 1.0 else "wrong",
        extracted=found.text,
        expected=item.expected,
        checker=checker,
        detail=f"not mathematics: {why}" if why else f"score {said:.4g}" if 0 < said < 1 else None,
    )


def final_answer(response: str) -> Found | None:
    """The last ``<answer>``, as it stands; else a box or a phrase, also without its LaTeX dress."""
    text = response[-TAIL:]
    before, closed, _ = text.rpartition("</answer>")
    _, opened, inside = before.rpartition("<answer>")
    if closed and opened:
        return Found(inside.strip(), [inside.strip()]) if inside.strip() else None
    found = extract(text, last=False)
    if found is None:
        return None
    plain = _SPACE.sub(" ", _ESCAPED.sub(r"\1", _TEXT.sub(r"\1", found.text)))
    return Found(found.text, list(dict.fromkeys([found.text, plain.strip("$ ")])))


@cache
def scorer(task: str, config: str | None) -> Scorer:
    """The task's own scorer, with settings as JSON text, and without its `eval`."""
    from reasoning_gym.factory import DATASETS

    if task in MENDED:
        return _same_text
    dataset, settings = DATASETS[task]
    own: Scorer = dataset(settings(**json.loads(config or "{}"))).score_answer
    names = {kind.__module__ for kind in dataset.__mro__}
    modules = [vars(sys.modules[name]) for name in names if name.startswith("reasoning_gym.")]

    def score(text: str, entry: dict[str, Any]) -> float:
        for module in modules:
            module["eval"] = plain_value
        try:
            return own(text, entry)
        finally:
            for module in modules:  # some make their entries with it
                del module["eval"]

    return score


def _same_text(text: str, entry: dict[str, Any]) -> float:
    return float(text.casefold() == str(entry["answer"]).casefold())


# ── what a scorer may read ───────────────────────────────────────────────────────────────────────


def not_maths(text: str) -> str | None:
    """What in a text is no mathematics and could do something when sympy's parser runs it."""
    import sympy

    found = _NOT_MATHS.search(text)
    if found:
        return found.group()
    functions = set(sympy.functions.__all__) | _HARMLESS
    for name in _NAME.findall(text):
        known = hasattr(builtins, name) or hasattr(sympy, name)
        if len(name) > 1 and known and name not in functions:
            return str(name)
    return None


_BINARY: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
}
_LARGEST_SHIFT = 1024


def plain_value(text: str) -> object:
    """What `eval` gives for plain data and integer arithmetic; `ValueError` for everything else."""
    return _value(ast.parse(text.strip(), mode="eval").body)


def _value(node: ast.expr) -> object:
    if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        left, right = _value(node.left), _value(node.right)
        if type(left) is int and type(right) is int:
            if isinstance(node.op, ast.LShift) and right > _LARGEST_SHIFT:
                raise ValueError(f"a shift by {right}")
            return _BINARY[type(node.op)](left, right)
    return ast.literal_eval(node)
