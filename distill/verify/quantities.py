r"""Whether two quantities are equal: a value, with a unit, a percent sign, a degree sign or a base.

    same_quantity(parse(r"12\text{ cm}"), parse(r"120\text{ mm}"))     # True
    same_quantity(parse(r"50\%"), parse("0.5"))                        # True
    same_quantity(parse("0.333"), parse(r"\frac13"))                   # True: it rounds to that
    same_quantity(parse(r"\frac13"), parse("0.333"))                   # False: a third is no decimal

A unit may be left out on one side; where both have one, quantities are compared.
"""

from fractions import Fraction
from typing import NamedTuple

from distill.verify.tree import Node, names, num
from distill.verify.units import Unit, is_unit, unit_of
from distill.verify.value import (
    TooLargeError,
    UndefinedError,
    exact,
    is_arithmetic,
    same_value,
    value_at,
)

DIGITS = 3  # significant digits from which a decimal stands for what rounds to it
DEGREE = Node("div", (Node("const", ("pi",)), num(180)))


class Quantity(NamedTuple):
    """A value and the mark it carries."""

    value: Node
    mark: str = ""  # "percent", "deg" or "unit"
    unit: Unit | None = None


def same_quantity(gold: Node, answer: Node) -> bool | None:
    """Whether two values are equal, or None where one is no value."""
    if "based" in (gold.op, answer.op):
        gold, answer = _bases(gold, answer)
    if _infinite(gold) or _infinite(answer):
        return _infinite(gold) == _infinite(answer)
    ours, theirs = _quantity(gold), _quantity(answer)
    if ours.mark != "unit" != theirs.mark or not ours.mark or not theirs.mark:
        ours, theirs = _plain_unit(ours, theirs), _plain_unit(theirs, ours)
    if ours.mark == theirs.mark == "unit":
        return _same_units(ours, theirs)
    if "unit" in (ours.mark, theirs.mark) and ours.mark and theirs.mark:
        return _angle(ours, theirs)
    if ours.mark == theirs.mark:
        return same_number(ours.value, theirs.value)
    return _either(ours, theirs)


def _quantity(node: Node) -> Quantity:
    op, args = node
    if op in ("percent", "deg"):
        return Quantity(args[0], op)
    if op == "neg" and args[0].op in ("percent", "deg", "unit"):
        inside = _quantity(args[0])
        return inside._replace(value=Node("neg", (inside.value,)))
    if op in ("mul", "div") and args[0].op in ("deg", "percent") and is_arithmetic(args[1]):
        return Quantity(Node(op, (args[0].args[0], args[1])), args[0].op)
    if op == "mul" and args[1].op == "deg" and is_arithmetic(args[0]):
        return Quantity(Node(op, (args[0], args[1].args[0])), "deg")
    if op == "unit":
        inside = _quantity(args[0])
        if inside.mark == "deg":
            scale = f"°{args[1].strip()[:1].upper()}"
            return (
                Quantity(inside.value, "unit", unit_of(scale)) if scale in ("°C", "°F") else inside
            )
        unit = unit_of(args[1])
        return Quantity(inside.value, "unit" if unit.dimension else "", unit)
    return Quantity(node)


def _plain_unit(quantity: Quantity, other: Quantity) -> Quantity:
    """``5m`` is five meters where the other side has a unit, or is five m."""
    value = quantity.value
    product = value.op == "mul" and value.args[0].op == "num" and value.args[1].op == "name"
    if other.mark == "unit" and product and not quantity.mark and is_unit(value.args[1].args[0]):
        return Quantity(value.args[0], "unit", unit_of(value.args[1].args[0]))
    return quantity


def _same_units(ours: Quantity, theirs: Quantity) -> bool | None:
    assert ours.unit and theirs.unit
    if ours.unit.dimension != theirs.unit.dimension:
        return False
    if ours.unit.factor == theirs.unit.factor:
        return same_number(ours.value, theirs.value)
    factor = num(theirs.unit.factor / ours.unit.factor)
    return same_number(ours.value, Node("mul", (theirs.value, factor)))


def _angle(ours: Quantity, theirs: Quantity) -> bool | None:
    """Radians as a unit against degrees; else a unit against a percent sign."""
    for one, two in ((ours, theirs), (theirs, ours)):
        if one.mark == "deg" and two.unit and two.unit.dimension == "angle1":
            return same_value(Node("mul", (one.value, DEGREE)), two.value)
    return False


def _either(ours: Quantity, theirs: Quantity) -> bool | None:
    """One side has a mark that the other left out, or said by its value."""
    verdict = same_number(ours.value, theirs.value)
    marked = ours if ours.mark else theirs
    if verdict or marked.mark == "unit":
        return verdict
    factor = num(Fraction(1, 100)) if marked.mark == "percent" else DEGREE
    sides = [
        Node("mul", (side.value, factor)) if side is marked else side.value
        for side in (ours, theirs)
    ]
    other = same_value(sides[0], sides[1])
    if ours.mark and {ours.mark, theirs.mark} == {"percent", "deg"}:
        return False
    return True if other else False if verdict is False and other is False else None


def _bases(gold: Node, answer: Node) -> tuple[Node, Node]:
    """A response without a base takes the expected one's; an expected number without one is decimal."""
    if gold.op == "based" and answer.op == "num" and answer.args[1] is None:
        digits, base = str(answer.args[0]), gold.args[1]
        if digits.isalnum() and all(int(digit, 36) < base for digit in digits):
            answer = Node("based", (digits, base))
    if gold.op == "based" and answer.op == "mul":  # 2A without its base is read as 2 times A
        digits = "".join(
            str(part.args[0]) for part in _factors(answer) if part.op in ("num", "name")
        )
        base = gold.args[1]
        if digits.isalnum() and all(int(digit, 36) < base for digit in digits):
            answer = Node("based", (digits, base))
    return gold, answer


def _factors(node: Node) -> list[Node]:
    return [*_factors(node.args[0]), node.args[1]] if node.op == "mul" else [node]


def _infinite(node: Node) -> int:
    if node.op == "neg":
        return -_infinite(node.args[0])
    return int(node == Node("const", ("inf",)))


# ── numbers and rounding ─────────────────────────────────────────────────────────────────────────


def same_number(gold: Node, answer: Node) -> bool | None:
    """Equal values, or an answer that the expected decimal is the rounding of."""
    verdict = same_value(gold, answer)
    if verdict is not False:
        return verdict
    place = _place(gold)
    if place is None or names(answer) or not is_arithmetic(answer):
        return False
    return _rounds(gold, place, answer)


def _place(node: Node) -> Fraction | None:
    """The place of the last digit of a decimal of `DIGITS` or more significant digits."""
    value, place = _decimal(node)
    if place is None or value == 0 or abs(value) / place < 10 ** (DIGITS - 1):
        return None
    return place


def _decimal(node: Node) -> tuple[Fraction, Fraction | None]:
    if node.op == "neg":
        value, place = _decimal(node.args[0])
        return -value, place
    if node.op == "num":
        return node.args[0], node.args[1]
    if node.op == "mul" and node.args[0].op == "num" and node.args[1].op == "pow":
        power = _exact(node.args[1])
        if power is not None and _exact(node.args[1].args[0]) == 10:
            value, place = _decimal(node.args[0])
            return value * power, place * power if place else None
    return Fraction(0), None


def _rounds(gold: Node, place: Fraction, answer: Node) -> bool:
    """Whether the answer lies within half of the last place. Of a decimal, only one with more digits."""
    _, written = _decimal(answer)
    if written is not None and written >= place:
        return False
    expected, said = _exact(gold), _exact(answer)
    if expected is None:
        return False
    if said is not None:
        return abs(said - expected) < place / 2
    try:
        value = value_at(answer, {})
    except (UndefinedError, TooLargeError, OverflowError):
        return False
    gap = abs(value * expected.denominator - expected.numerator) / expected.denominator
    return bool(2 * gap * place.denominator < place.numerator)


def _exact(node: Node) -> Fraction | None:
    try:
        return exact(node)
    except (TooLargeError, UndefinedError):
        return None
