r"""Formulas in numbers: floats first, then as many digits as it takes.

    difference(parse("x^2-1"), parse("(x-1)(x+1)"), {"x": Fraction(7, 5)})      # True: they agree there

`mpmath` calculates, in its own context of each digit count, so that threads do not disturb one another.
Real values only, unless the formula writes ``i`` or is a constant: a root or a logarithm of a negative
number at a point says nothing about the formula there.
"""

import threading
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from distill.verify.tree import Node, names, size_of
from distill.verify.value import DIGITS, LARGEST_SPAN, TooLargeError, UndefinedError

MOST_WORK = 100_000  # operations times digits: about a tenth of a second
CLEAR = 1e-4  # relative: what differs so much in floats differs
LARGEST_FLOAT = 1e120
Point = dict[str, Any]  # fractions, or numbers of a context


_own = threading.local()


def context(digits: int) -> Any:
    """mpmath's context of so many digits; 0: floats. One for each thread: it changes while it works."""
    import mpmath  # type: ignore[import-untyped]

    if digits == 0:
        return mpmath.fp
    made: dict[int, Any] = _own.__dict__.setdefault("contexts", {})
    if digits not in made:
        made[digits] = mpmath.mp.__class__()
        made[digits].dps = digits
    return made[digits]


def difference(left: Node, right: Node, point: Point) -> bool:
    """Whether both agree at a point. Raises `UndefinedError` where one has no value."""
    complex_too = not (names(left) or names(right)) or _writes_i(left) or _writes_i(right)
    quick = _quick(left, right, point, complex_too)
    if quick is not None:
        return quick
    run = Run(context(DIGITS), point, complex_too)
    run.value(left), run.value(right)
    span = run.span
    if span > LARGEST_SPAN:
        raise TooLargeError("digits")
    steps = [DIGITS + 2 * span + 20, 3 * (DIGITS + span) + 20]
    if (size_of(left) + size_of(right)) * steps[0] > MOST_WORK:
        raise TooLargeError("work")
    gaps = []
    for digits in (_round_up(step) for step in steps):
        run = Run(context(digits), point, complex_too)
        ours, theirs = run.value(left), run.value(right)
        gap, scale = abs(ours - theirs), max(abs(ours), abs(theirs))
        if gap == 0 or gap <= scale * run.ctx.mpf(10) ** (-DIGITS // 2 - span):
            return True
        gaps.append(run.ctx.log10(gap))
    # A difference that is real stays as digits are added; one that is rounding goes with them.
    return bool(float(gaps[1]) < float(gaps[0]) - DIGITS / 2)


def _round_up(digits: int) -> int:
    """Few different contexts: steps of half as much again."""
    size = 80
    while size < digits:
        size = size * 3 // 2
    return size


def _quick(left: Node, right: Node, point: Point, complex_too: bool) -> bool | None:
    """False where floats already differ clearly, else None."""
    try:
        run = Run(context(0), point, complex_too)
        ours, theirs = run.value(left), run.value(right)
        scale = max(abs(ours), abs(theirs))
        if not scale < LARGEST_FLOAT or run.span > 30:
            return None
        return False if abs(ours - theirs) > CLEAR * max(scale, 1e-9) else None
    except (OverflowError, ValueError, ZeroDivisionError):
        return None


def evaluated(node: Node, point: Point) -> Any:
    """The real value at a point."""
    run = Run(context(80), point, False)
    value = run.value(node)
    if run.span > DIGITS // 2:
        value = Run(context(_round_up(80 + 2 * run.span)), point, False).value(node)
    if getattr(value, "imag", 0) != 0:
        raise UndefinedError("not real")
    return getattr(value, "real", value)


def constant_ratio(left: Node, right: Node, points: list[Point]) -> float | None:
    """left / right where it is the same at every point."""
    found: Any = None
    agreed = 0
    for point in points:
        try:
            below, above = evaluated(right, point), evaluated(left, point)
        except UndefinedError:
            continue
        small = context(80).mpf(10) ** -40
        if abs(below) < small or abs(above) < small:
            return None
        ratio = above / below
        if found is not None and abs(ratio - found) > abs(found) * small:
            return None
        found, agreed = ratio, agreed + 1
    return float(found) if agreed >= 3 else None


def _writes_i(node: Node) -> bool:
    if node.op == "const":
        return bool(node.args[0] == "i")
    return any(_writes_i(part) for part in node.args if isinstance(part, Node))


class Run:
    """One evaluation. ``span``: how many digits its largest or smallest value is away from one."""

    def __init__(self, ctx: Any, point: Point, complex_too: bool) -> None:
        self.ctx, self.point, self.complex_too = ctx, point, complex_too
        self.span = 0
        self.float = ctx is context(0)

    def value(self, node: Node) -> Any:
        """The value of a formula. Raises `UndefinedError` and `TooLargeError`."""
        try:
            made = _OPERATIONS[node.op](self, node)
        except KeyError:
            raise UndefinedError(node.op) from None
        except ZeroDivisionError:
            raise UndefinedError("division by zero") from None
        if made != made:  # nan
            raise UndefinedError("no number")
        self._measure(made)
        return made

    def _measure(self, value: Any) -> None:
        size = abs(value)
        if size == 0:
            return
        if self.float:
            if not size < LARGEST_FLOAT:
                raise OverflowError
            if size < 1e-20:
                self.span = max(self.span, 31)
            return
        digits = abs(int((size.man.bit_length() + size.exp) * 0.30103)) if size.exp else 0
        if digits > LARGEST_SPAN:
            raise TooLargeError("digits")
        self.span = max(self.span, digits)

    def fraction(self, value: Fraction) -> Any:
        if self.float:
            return float(value)
        return self.ctx.mpf(value.numerator) / value.denominator

    def number(self, node: Node) -> Any:
        return self.fraction(node.args[0])

    def name(self, node: Node) -> Any:
        value = self.point[node.args[0]]
        return self.fraction(value) if isinstance(value, Fraction) else self.ctx.mpf(value)

    def const(self, node: Node) -> Any:
        ctx = self.ctx
        known = {"pi": ctx.pi, "e": ctx.e, "i": ctx.mpc(0, 1) if not self.float else 1j}
        return +known[node.args[0]]

    def power(self, node: Node) -> Any:
        base, exponent = self.value(node.args[0]), self.value(node.args[1])
        return self.raised(base, exponent, _denominator(node.args[1]))

    def raised(self, base: Any, exponent: Any, denominator: int | None) -> Any:
        """A power; of a negative base the real one where the exponent's denominator is odd."""
        if base == 0:
            if _real(exponent) <= 0 and exponent != 0:
                raise UndefinedError("division by zero")
            return base if exponent != 0 else base + 1
        if abs(exponent) > 1e6 and abs(_ln(self.ctx, base) * exponent) > 2.4 * LARGEST_SPAN:
            raise TooLargeError("power")
        negative = not _imaginary(base) and not _imaginary(exponent) and _real(base) < 0
        if negative and _real(exponent) != self.ctx.floor(_real(exponent)):
            if denominator and denominator % 2:
                size = self.ctx.power(-_real(base), exponent)
                odd = round(float(_real(exponent)) * denominator) % 2
                return -size if odd else size
            if not self.complex_too:
                raise UndefinedError("root of a negative number")
        return self.ctx.power(base, exponent)

    def root(self, node: Node) -> Any:
        index = node.args[1]
        if index.op == "num" and index.args[0].denominator == 1 and index.args[0] > 0:
            degree = index.args[0].numerator
            inside = self.value(node.args[0])
            if degree == 2 and not _imaginary(inside) and _real(inside) >= 0:
                return self.ctx.sqrt(_real(inside))
            return self.raised(inside, self.ctx.mpf(1) / degree, degree)
        return self.raised(self.value(node.args[0]), 1 / self.value(index), None)

    def factorial(self, node: Node) -> Any:
        value = self.value(node.args[0])
        if _imaginary(value) or _real(value) < 0:
            raise UndefinedError("factorial")
        if _real(value) > 1500:
            raise TooLargeError("factorial")
        return self.ctx.factorial(_real(value))

    def binomial(self, node: Node) -> Any:
        above, below = self.value(node.args[0]), self.value(node.args[1])
        if abs(above) > 1500 or abs(below) > 1500:
            raise TooLargeError("binomial")
        return self.ctx.binomial(above, below)

    def function(self, node: Node) -> Any:
        name, base, inside = node.args
        if name in _SEVERAL:
            parts = inside.args[2:] if inside.op == "group" else (inside,)
            return self.ctx.mpf(_SEVERAL[name](*(_real(self.value(part)) for part in parts)))
        value = self.value(inside)
        if name in ("ln", "log", "lg"):
            return self.logarithm(name, base, value)
        if base is not None:
            raise UndefinedError(name)
        if name in ("floor", "ceil"):
            return self.rounded(name, value)
        if name == "abs":
            return abs(value)
        if name in _RECIPROCAL:
            return 1 / _FUNCTIONS[_RECIPROCAL[name]](self.ctx)(value)
        if name == "exp" and abs(value) > 6000:
            raise TooLargeError("exp")
        made = _FUNCTIONS[name](self.ctx)(value)
        if _imaginary(made) and not self.complex_too:
            raise UndefinedError(name)
        return made

    def logarithm(self, name: str, base: Node | None, value: Any) -> Any:
        if value == 0 or (not self.complex_too and not (_imaginary(value) == 0 < _real(value))):
            raise UndefinedError("logarithm")
        made = self.ctx.log(value)
        if base is not None:
            return made / self.ctx.log(self.value(base))
        return made / self.ctx.log(10) if name == "lg" else made

    def rounded(self, name: str, value: Any) -> Any:
        if _imaginary(value):
            raise UndefinedError(name)
        real = _real(value)
        near = self.ctx.floor(real + 0.5)
        if abs(real - near) < (1e-9 if self.float else self.ctx.mpf(10) ** -(self.ctx.dps // 2)):
            return near  # an integer but for rounding
        return self.ctx.floor(real) if name == "floor" else self.ctx.ceil(real)


def _real(value: Any) -> Any:
    return getattr(value, "real", value)


def _imaginary(value: Any) -> Any:
    return getattr(value, "imag", 0)


def _ln(ctx: Any, value: Any) -> float:
    return abs(float(_real(ctx.log(abs(value)))))


def _denominator(exponent: Node) -> int | None:
    """The denominator of an exponent that is written as a rational number."""
    from distill.verify.value import exact

    value = exact(exponent)
    return value.denominator if value is not None else None


_RECIPROCAL = {"cot": "tan", "sec": "cos", "csc": "sin"}
_SEVERAL: dict[str, Callable[..., Any]] = {"max": max, "min": min}
_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "sin": lambda ctx: ctx.sin, "cos": lambda ctx: ctx.cos, "tan": lambda ctx: ctx.tan,
    "sinh": lambda ctx: ctx.sinh, "cosh": lambda ctx: ctx.cosh, "tanh": lambda ctx: ctx.tanh,
    "arcsin": lambda ctx: ctx.asin, "arccos": lambda ctx: ctx.acos, "arctan": lambda ctx: ctx.atan,
    "exp": lambda ctx: ctx.exp,
}  # fmt: skip
_OPERATIONS: dict[str, Callable[[Run, Node], Any]] = {
    "num": Run.number,
    "name": Run.name,
    "label": Run.name,
    "const": Run.const,
    "based": lambda run, node: run.fraction(Fraction(int(node.args[0], node.args[1]))),
    "paren": lambda run, node: run.value(node.args[0]),
    "add": lambda run, node: sum(
        (run.value(part) for part in node.args[1:]), run.value(node.args[0])
    ),
    "neg": lambda run, node: -run.value(node.args[0]),
    "mul": lambda run, node: run.value(node.args[0]) * run.value(node.args[1]),
    "div": lambda run, node: run.value(node.args[0]) / run.value(node.args[1]),
    "percent": lambda run, node: run.value(node.args[0]) / 100,
    "deg": lambda run, node: run.value(node.args[0]) * run.ctx.pi / 180,
    "pow": Run.power,
    "root": Run.root,
    "fact": Run.factorial,
    "binom": Run.binomial,
    "fn": Run.function,
}
