r"""What a formula is worth, exactly or to many digits, and whether two formulas are worth the same.

    exact(parse(r"\frac{2}{4}"))                                # Fraction(1, 2)
    same_value(parse(r"\sin 75^\circ"), parse(r"\frac{\sqrt6+\sqrt2}{4}"))     # True
    same_value(parse(r"\frac{1}{2004!}"), parse(r"\frac{1}{2006!}"))           # False

Rational numbers are compared exactly. The rest is evaluated at random points, first in floats (which
find most differences), then with far more digits than its largest and smallest intermediate value ask
for, and compared by *relative* error: 1/2^99 is not 1/2^98. What would fill the memory is refused
(`TooLargeError`), or compared by its logarithm and its factors.
"""

import math
import random
from fractions import Fraction
from typing import Any

from distill.verify.tree import Node, has_steps, names, num, whole_names

LARGEST_BITS = 24_000  # of an exact integer
LARGEST_FACTORIAL = 2_100
LARGEST_SPAN = 1_500  # decimal digits between an intermediate value and one
DIGITS = 60  # beyond the span
POINTS = 5
ARITHMETIC = {"num", "based", "add", "neg", "mul", "div", "pow", "root", "fact", "binom", "fn", "name",
              "const", "deg", "percent", "paren", "label"}  # fmt: skip


class TooLargeError(Exception):
    """A value that is not evaluated: it does not fit."""


class UndefinedError(Exception):
    """No real value at this point, or no value at all."""


# ── exact ────────────────────────────────────────────────────────────────────────────────────────


def exact(node: Node) -> Fraction | None:
    """The rational value, or None where it is not rational by plain arithmetic. May raise both errors."""
    op, args = node
    if op == "num":
        value: Fraction = args[0]
        if args[1] is not None and args[1] < 0:
            raise TooLargeError("scientific notation")
        return value
    if op == "based":
        return Fraction(int(args[0], args[1]))
    if op in ("add", "mul", "neg", "div", "percent"):
        parts = [exact(part) for part in args]
        if any(part is None for part in parts):
            return None
        return _arithmetic(op, [part for part in parts if part is not None])
    if op == "pow":
        return _power(exact(args[0]), exact(args[1]))
    if op == "root":
        return _root(exact(args[0]), exact(args[1]))
    if op == "fact":
        return _factorial(exact(args[0]))
    if op == "binom":
        return _binomial(exact(args[0]), exact(args[1]))
    if op == "fn" and args[0] in ("abs", "floor", "ceil") and args[1] is None:
        inside = exact(args[2])
        if inside is None:
            return None
        if args[0] == "abs":
            return abs(inside)
        return Fraction(math.floor(inside) if args[0] == "floor" else math.ceil(inside))
    if op == "fn" and args[0] == "det":
        return _determinant(args[2])
    return None


def _arithmetic(op: str, parts: list[Fraction]) -> Fraction:
    if op == "neg":
        return -parts[0]
    if op == "percent":
        return parts[0] / 100
    if op == "div" and parts[1] == 0:
        raise UndefinedError("division by zero")
    made = parts[0]
    for part in parts[1:]:
        if _bits(made) + _bits(part) > 3 * LARGEST_BITS:
            raise TooLargeError(op)
        made = made + part if op == "add" else made * part if op == "mul" else made / part
    return made


def _bits(value: Fraction) -> int:
    return value.numerator.bit_length() + value.denominator.bit_length()


def _power(base: Fraction | None, exponent: Fraction | None) -> Fraction | None:
    if base is None or exponent is None:
        return None
    if exponent.denominator != 1:
        if exponent.denominator > 100:
            return None
        root = _root(base, Fraction(exponent.denominator))
        return None if root is None else _power(root, Fraction(exponent.numerator))
    if base == 0 and exponent < 0:
        raise UndefinedError("division by zero")
    size = max(base.numerator.bit_length(), base.denominator.bit_length())
    if abs(base) not in (0, 1) and size * abs(exponent) > LARGEST_BITS:
        raise TooLargeError("power")
    if abs(base) in (0, 1):
        odd = exponent.numerator % 2
        return base if odd else abs(base) if exponent else Fraction(1)
    return base**exponent.numerator


def _root(inside: Fraction | None, index: Fraction | None) -> Fraction | None:
    """An exact root of a rational, of a negative one where the index is odd."""
    if inside is None or index is None or index.denominator != 1 or not 1 <= index <= 100:
        return None
    degree = index.numerator
    if inside < 0:
        if degree % 2 == 0:
            return None
        positive = _root(-inside, index)
        return None if positive is None else -positive
    above, below = _whole_root(inside.numerator, degree), _whole_root(inside.denominator, degree)
    return None if above is None or below is None else Fraction(above, below)


def _whole_root(value: int, degree: int) -> int | None:
    if degree == 2:
        root = math.isqrt(value)
    elif value < 2:
        root = value
    else:
        root = 1 << -(-value.bit_length() // degree)  # Newton from above
        while True:
            closer = ((degree - 1) * root + value // root ** (degree - 1)) // degree
            if closer >= root:
                break
            root = closer
    return root if root**degree == value else None


def _factorial(value: Fraction | None) -> Fraction | None:
    if value is None or value.denominator != 1 or value < 0:
        return None
    if value > LARGEST_FACTORIAL:
        raise TooLargeError("factorial")
    return Fraction(math.factorial(value.numerator))


def _binomial(above: Fraction | None, below: Fraction | None) -> Fraction | None:
    if above is None or below is None or above.denominator != 1 or below.denominator != 1:
        return None
    if above > 10 * LARGEST_FACTORIAL:
        raise TooLargeError("binomial")
    if above < 0 or below < 0:
        return None
    return Fraction(math.comb(above.numerator, below.numerator))


def _determinant(matrix: Node) -> Fraction | None:
    if matrix.op != "matrix" or len(matrix.args) != len(matrix.args[0]) or len(matrix.args) > 6:
        return None
    rows = [[exact(entry) for entry in row] for row in matrix.args]
    if any(entry is None for row in rows for entry in row):
        return None
    table = [[Fraction(entry or 0) for entry in row] for row in rows]
    value = Fraction(1)
    for column in range(len(table)):
        pivot = next((row for row in range(column, len(table)) if table[row][column]), None)
        if pivot is None:
            return Fraction(0)
        if pivot != column:
            table[pivot], table[column] = table[column], table[pivot]
            value = -value
        value *= table[column][column]
        for row in range(column + 1, len(table)):
            share = table[row][column] / table[column][column]
            for at in range(column, len(table)):
                table[row][at] -= share * table[column][at]
    return value


# ── the comparison ───────────────────────────────────────────────────────────────────────────────


def is_arithmetic(node: Node) -> bool:
    """Whether it is one value: no list, set, relation, unit, text or infinity in it."""
    if node.op == "const":
        return node.args[0] in ("pi", "e", "i")
    if node.op == "fn" and node.args[0] == "det":
        return _determinant(node.args[2]) is not None
    if (
        node.op == "fn"
        and node.args[0] in ("max", "min", "gcd", "lcm")
        and node.args[2].op == "group"
    ):
        return all(is_arithmetic(part) for part in node.args[2].args[2:])
    if node.op not in ARITHMETIC:
        return False
    return all(is_arithmetic(part) for part in node.args if isinstance(part, Node))


def same_value(left: Node, right: Node) -> bool | None:
    """Whether two formulas have one value wherever both are defined; None where that is not known."""
    if left == right:
        return True
    if not (is_arithmetic(left) and is_arithmetic(right)):
        return None
    try:
        ours, theirs = exact(left), exact(right)
        if ours is not None and theirs is not None:
            return ours == theirs
    except TooLargeError:
        from distill.verify.huge import same_huge

        verdict = same_huge(left, right)
        if verdict is not None:
            return verdict
    except UndefinedError:
        return None
    return same_at_points(left, right)


def same_at_points(left: Node, right: Node) -> bool | None:
    """Whether two formulas agree at random points, to many digits of relative error."""
    from distill.verify.evaluate import difference

    variables = sorted(names(left) | names(right))
    whole = whole_names(left) | whole_names(right)
    steps = has_steps(left) or has_steps(right)
    rng = random.Random(20260)  # the same points every time: a verdict can be repeated
    agreed = 0
    tries = 1 if not variables else 4 * POINTS
    for attempt in range(tries):
        point = _point(rng, variables, set(variables) if steps and attempt % 2 else whole, attempt)
        try:
            same = difference(left, right, point)
        except UndefinedError:
            continue
        except (TooLargeError, OverflowError):
            return None
        if not same:
            return False
        agreed += 1
        if agreed == (POINTS if variables else 1):
            return True
    return True if agreed >= 2 else None


def _point(
    rng: random.Random, variables: list[str], whole: set[str], attempt: int
) -> dict[str, Fraction]:
    """Integers where the formula asks for them; else positive, then of mixed signs, then negative."""
    point = {}
    for index, name in enumerate(variables):
        value = Fraction(rng.randint(30_000, 290_000), 100_003)
        negative = attempt % 4 == 3 or (attempt % 4 == 1 and index % 2 == 0)
        point[name] = -value if negative else value
        if name in whole:
            point[name] = Fraction(rng.randint(3, 24))
    return point


def ratio(left: Node, right: Node) -> float | None:
    """The constant that left is of right at every point, None if there is none (or it is zero)."""
    from distill.verify.evaluate import constant_ratio

    variables = sorted(names(left) | names(right))
    if not (is_arithmetic(left) and is_arithmetic(right)):
        return None
    rng = random.Random(20261)
    points = [_point(rng, variables, set(), attempt) for attempt in range(12)]
    try:
        return constant_ratio(left, right, points)
    except (TooLargeError, OverflowError):
        return None


def difference_of(left: Node, right: Node) -> Node:
    return left if right == num(0) else Node("add", (left, Node("neg", (right,))))


def value_at(node: Node, point: dict[str, Any]) -> Any:
    """The real value at a point, to `DIGITS` digits. Raises both errors."""
    from distill.verify.evaluate import evaluated

    return evaluated(node, point)
