r"""A second opinion on what math-verify calls equal: numbers, to many digits, by relative error.

    opinion([sympify("1/2**99")], [sympify("1/2**98")])     # "1.5777e-30 is not 3.1554e-30"

Where both sides are expressions they are evaluated at random points; where they are collections of
expressions, member by member. What cannot be evaluated (too large, not numeric) is no contradiction for
sets and relations, and one for numbers: an "equal" that nobody can check is not worth a wrong proof.
Works on sympy's objects, which can take any time: only for worker processes.
"""

import random
from typing import Any

DIGITS = 60
POINTS = 4
LARGEST_EXPONENT = 10_000


def opinion(gold: list[object], answer: list[object]) -> str | None:
    """None if the equality can be believed, else what speaks against it."""
    ours = [each for each in gold if not isinstance(each, str)]
    theirs = [each for each in answer if not isinstance(each, str)]
    if not ours or not theirs:  # equal as texts
        left, right = (
            {_text(each) for each in side if isinstance(each, str)} for side in (gold, answer)
        )
        return None if left & right else "only one side is a formula"
    return contradiction(ours[0], theirs[0])


def _text(text: str) -> str:
    return "".join(text.split()).strip("$.").casefold()


def contradiction(left: Any, right: Any) -> str | None:
    """What tells two of sympy's objects apart, or None."""
    from sympy import Basic, Eq, Expr, MatrixBase

    if isinstance(left, Eq) != isinstance(right, Eq):  # a name that one side left out
        left, right = (side.rhs if isinstance(side, Eq) else side for side in (left, right))
    if isinstance(left, Expr) and isinstance(right, Expr):
        return _expressions(left, right)
    if isinstance(left, MatrixBase) and isinstance(right, MatrixBase):
        if left.shape != right.shape:
            return "matrices of different shapes"
        found = (contradiction(a, b) for a, b in zip(left, right, strict=True))
        return next((why for why in found if why), None)
    if isinstance(left, Basic) and isinstance(right, Basic):
        return None if left == right or not _numbers_only(left, right) else _sets(left, right)
    return None


def _numbers_only(left: Any, right: Any) -> bool:
    from sympy import FiniteSet, Interval, Tuple

    return isinstance(left, FiniteSet | Tuple | Interval) and type(left) is type(right)


def _sets(left: Any, right: Any) -> str | None:
    """Members in order for tuples and ends of intervals, each somewhere for sets."""
    from sympy import FiniteSet, Interval

    if isinstance(left, Interval):
        if left.args[2:] != right.args[2:]:
            return "an end is open on one side only"
        pairs = list(zip(left.args[:2], right.args[:2], strict=True))
        return next((why for a, b in pairs if (why := contradiction(a, b))), None)
    if len(left.args) != len(right.args):
        return "different numbers of members"
    if isinstance(left, FiniteSet):
        for member in left.args:
            if all(contradiction(member, other) for other in right.args):
                return f"{str(member)[:80]} is on one side only"
        return None
    found = (contradiction(a, b) for a, b in zip(left.args, right.args, strict=True))
    return next((why for why in found if why), None)


def _expressions(left: Any, right: Any) -> str | None:
    if left == right:
        return None
    if left.is_Rational and right.is_Rational:
        return f"{str(left)[:60]} is not {str(right)[:60]}"
    if _is_huge(left) or _is_huge(right):
        return "a power too large to be checked"
    symbols = sorted(left.free_symbols | right.free_symbols, key=str)
    rng = random.Random(20262)
    told = 0
    for _ in range(POINTS if symbols else 1):
        point = {symbol: _point(rng) for symbol in symbols}
        ours, theirs = (side.evalf(DIGITS, subs=point) for side in (left, right))
        if not (ours.is_number and theirs.is_number and ours.is_finite and theirs.is_finite):
            continue
        gap, scale = abs(ours - theirs), max(abs(ours), abs(theirs))
        if gap > scale * 10 ** (-DIGITS // 2):
            return f"{str(ours)[:20]} is not {str(theirs)[:20]}"
        told += 1
    return None if told else "no value that could be compared"


def _point(rng: random.Random) -> Any:
    from sympy import Rational

    return Rational(rng.randint(30_000, 290_000), 100_003)


def _is_huge(expression: Any) -> bool:
    """Whether a power in it has an exponent that is itself large, or a factorial a large argument."""
    from sympy import Pow, factorial

    for part in expression.atoms(Pow, factorial):
        size = part.args[-1]
        if size.is_Integer and abs(int(size)) > LARGEST_EXPONENT:
            return True
        if not size.is_Integer and size.is_number and any(p.is_Pow for p in size.args):
            return True
    return False
