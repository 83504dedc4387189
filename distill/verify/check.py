"""One entry to all checkers: a problem and a trace in, a verdict out.

    require_checkers({problem.kind for problem in problems})       # before anything is paid for
    check(problem, trace).status                                   # "correct"

`check` may hang on a hostile answer, so only worker processes call it; everybody else goes through
`distill.verify.pool`, which asks `quick` first and a worker when that does not know.
"""

from collections.abc import Callable, Iterable

from distill.errors import DistillError, missing_extra
from distill.types import Kind, Problem, Trace, Verdict
from distill.verify import gym
from distill.verify.choice import check_choice
from distill.verify.code import check_code
from distill.verify.gym import check_gym
from distill.verify.item import Checker, Item, Judgement, item_of, verdict_of
from distill.verify.math import check_math, prepare_math, quick_math
from distill.verify.sandbox import find_sandbox


def check_open(item: Item) -> Judgement:
    """Nothing about an open question can be checked."""
    return Judgement(status="unchecked", checker="open/1")


# Kind `judge` is not here: an engine grades it, not a worker (`distill.verify.judge`).
CHECKERS: dict[Kind, Checker] = {
    "math": check_math,
    "choice": check_choice,
    "code": check_code,
    "gym": check_gym,
    "open": check_open,
}

# What is decided at once and cannot hang, in the calling process. None: ask a worker.
QUICK: dict[Kind, Callable[[Item], Judgement | None]] = {
    "math": quick_math,
    "choice": check_choice,
    "open": check_open,
}


def require_checkers(kinds: Iterable[Kind], *, judge: bool = False, sandbox: str = "auto") -> None:
    """Refuse kinds that nothing here can check. ``judge``: whether there is a model that grades;
    ``sandbox``: where programs are to run.

    Raises `DistillError` that names them and the way out.
    """
    asked = set(kinds)
    if "gym" in asked and not gym.is_installed():
        raise missing_extra("checking answers of kind 'gym'", "gym")
    if "judge" in asked and not judge:
        raise DistillError(
            "kind 'judge' needs a model that grades: name its card by 'judge: {teacher: CARD}' in the "
            "recipe, or for a file by --judge CARD; or give these problems kind 'open'"
        )
    if "code" in asked:
        find_sandbox(sandbox)


def prepare(kind: Kind) -> None:
    """What is slow once, before the first item of a kind: imports and sympy's tables (1.6 s and 0.3 s)."""
    if kind == "math":
        prepare_math()
    elif kind == "gym":
        gym.prepare()


def quick(item: Item) -> Judgement | None:
    """The judgement that needs no worker, if there is one."""
    return QUICK[item.kind](item) if item.kind in QUICK else None


def judge(item: Item) -> Judgement:
    """The full judgement: may hang, may run out of memory."""
    return CHECKERS[item.kind](item)


def check(problem: Problem, trace: Trace) -> Verdict:
    """Judge one trace in this process, with no deadline."""
    require_checkers({problem.kind})
    return verdict_of(trace, judge(item_of(problem, trace)))
