r"""Sets of real numbers: intervals, unions, points, and the inequalities that describe them.

    region(parse(r"x<-2 \text{ or } x>2")) ... equals region(parse(r"(-\infty,-2)\cup(2,\infty)"))

A region is a list of disjoint pieces in order, its ends in many digits. Only what is linear in one
variable (or in its absolute value) is solved here; the rest is None.
"""

from typing import Any, NamedTuple

from distill.verify.tree import Node, names, num
from distill.verify.value import (
    TooLargeError,
    UndefinedError,
    difference_of,
    is_arithmetic,
    value_at,
)

TURNED = {"<": ">", ">": "<", "≤": "≥", "≥": "≤"}
INFINITY = float("inf")
MOST = 50  # pieces of a union


class Piece(NamedTuple):
    """From low to high; ``closed`` at the ends or not."""

    low: Any
    low_closed: bool
    high: Any
    high_closed: bool


Region = list[Piece]
ALL: Region = [Piece(-INFINITY, False, INFINITY, False)]


def same_region(left: Region, right: Region) -> bool:
    """Whether two regions hold the same numbers."""
    return len(left) == len(right) and all(
        _near(a.low, b.low) and _near(a.high, b.high) and a[1::2] == b[1::2]
        for a, b in zip(left, right, strict=True)
    )


def region(node: Node) -> Region | None:
    """The set of numbers that a formula writes down or describes, or None."""
    try:
        return _region(node)
    except (UndefinedError, TooLargeError, OverflowError):
        return None


def variable_of(node: Node) -> str | None:
    """The one variable of inequalities."""
    found = _variables(node)
    return found.pop() if len(found) == 1 else None


def _variables(node: Node) -> set[str]:
    if node.op == "rel" and node.args[0] == ("∈",):
        return names(node.args[1])
    if node.op in ("rel", "list"):
        return set().union(*(_variables(part) for part in node.args[1:]))
    return names(node)


def describes(node: Node) -> bool:
    """Whether it is an inequality or several of them, or says what something is an element of."""
    if node.op == "rel":
        return all(sign in "<>≤≥≠∈" for sign in node.args[0])
    return node.op == "list" and all(describes(part) for part in node.args[1:])


def _region(node: Node) -> Region | None:
    op, args = node
    if op == "group":
        return _interval(node)
    if op == "const" and args[0] in ("reals", "empty"):
        return ALL if args[0] == "reals" else []
    if op == "set":
        points = [_end(part) for part in args]
        return join([Piece(at, True, at, True) for at in points])
    if op in ("∪", "∩", "∖"):
        left, right = _region(args[0]), _region(args[1])
        if left is None or right is None:
            return None
        return join(left + right) if op == "∪" else meet(left, right if op == "∩" else rest(right))
    if op == "rel":
        return _described(node)
    if op == "list" and describes(node) and variable_of(node):
        parts = [_region(part) for part in args[1:]]
        known = [part for part in parts if part is not None]
        if len(known) < len(parts):
            return None
        if args[0] == "or":
            return join([piece for part in known for piece in part])
        made = ALL
        for part in known:
            made = meet(made, part)
        return made
    return None


def _interval(node: Node) -> Region | None:
    opening, closing, *parts = node.args
    if len(parts) != 2 or opening == "⟨":
        return None
    low, high = _end(parts[0]), _end(parts[1])
    if low > high or (low == high and opening + closing != "[]"):
        raise UndefinedError("an interval that ends before it begins")
    return [
        Piece(low, opening == "[" and low != -INFINITY, high, closing == "]" and high != INFINITY)
    ]


def _end(node: Node) -> Any:
    if node.op == "neg":
        return -_end(node.args[0])
    if node == Node("const", ("inf",)):
        return INFINITY
    if not is_arithmetic(node) or names(node):
        raise UndefinedError("no number")
    return value_at(node, {})


def _near(left: Any, right: Any) -> bool:
    if left == right:
        return True
    if abs(left) == INFINITY or abs(right) == INFINITY:
        return False
    return bool(abs(left - right) <= max(abs(left), abs(right)) * type(left)("1e-50"))


# ── inequalities ─────────────────────────────────────────────────────────────────────────────────


def _described(node: Node) -> Region | None:
    signs, *members = node.args
    if signs == ("∈",):
        return _region(members[1])
    if variable_of(node) is None:
        return None
    made = ALL
    for left, sign, right in zip(members, signs, members[1:], strict=False):
        part = _solved(left, sign, right)
        if part is None:
            return None
        made = meet(made, part)
    return made


def _solved(left: Node, sign: str, right: Node) -> Region | None:
    if sign not in "<>≤≥≠" or not (is_arithmetic(left) and is_arithmetic(right)):
        return None
    if right.op == "fn" and right.args[0] == "abs" and not names(left):
        left, right, sign = right, left, TURNED.get(sign, sign)
    if left.op == "fn" and left.args[0] == "abs" and not names(right):
        return _absolute(left.args[2], sign, right)
    line = _line(difference_of(left, right))
    if line is None:
        return None
    slope, root = line
    if sign == "≠":
        return rest([Piece(root, True, root, True)])
    below = (sign in "<≤") == (slope > 0)
    closed = sign in "≤≥"
    if below:
        return [Piece(-INFINITY, False, root, closed)]
    return [Piece(root, closed, INFINITY, False)]


def _absolute(inside: Node, sign: str, bound: Node) -> Region | None:
    minus = Node("neg", (bound,))
    if value_at(bound, {}) < 0:
        return None
    low, high = _solved(inside, TURNED.get(sign, sign), minus), _solved(inside, sign, bound)
    if low is None or high is None:
        return None
    return join(low + high) if sign in ">≥" else meet(low, high)


def _line(node: Node) -> tuple[Any, Any] | None:
    """Slope and root of what is linear in its one variable."""
    variables = names(node)
    if len(variables) != 1:
        return None
    (name,) = variables

    def at(value: int) -> Any:
        return value_at(node, {name: num(value).args[0]})

    start, slope = at(0), at(1) - at(0)
    small = type(start + slope)("1e-50") if not isinstance(start + slope, int) else 0
    if abs(slope) <= small:
        return None
    for value in (2, -3, 17):
        if abs(at(value) - start - value * slope) > small * max(abs(start), abs(value * slope)):
            return None
    return slope, -start / slope


def agrees(node: Node, inside: Region) -> bool | None:
    """Whether inequalities in one variable hold exactly on a region: at its ends, beside, between, beyond."""
    name = variable_of(node)
    if name is None or not describes(node) or not inside:
        return None
    try:
        for point in _probes(inside):
            if _holds(node, name, point) != any(_holds_piece(piece, point) for piece in inside):
                return False
    except (UndefinedError, TooLargeError, OverflowError):
        return None
    return True


def _probes(inside: Region) -> list[Any]:
    ends = [end for piece in inside for end in (piece.low, piece.high) if abs(end) != INFINITY]
    if not ends:
        return [num(n).args[0] for n in range(-9, 10)]
    number = type(value_at(num(1), {}))
    ends = [number(end) for end in ends]
    low, high = min(ends), max(ends)
    wide = high - low + 3
    beside = [end + wide * step for end in ends for step in (number("1e-9"), -number("1e-9"))]
    grid = [low - 2 * wide + 5 * wide * (n + number("0.37")) / 60 for n in range(60)]
    return [*ends, *beside, *grid, low - 1000 * wide, high + 1000 * wide]


def _holds_piece(piece: Piece, point: Any) -> bool:
    low, high = _near(piece.low, point), _near(piece.high, point)
    if low or high:
        return bool((low and piece.low_closed) or (high and piece.high_closed))
    return bool(piece.low < point < piece.high)


def _holds(node: Node, name: str, point: Any) -> bool:
    if node.op == "list":
        parts = [_holds(part, name, point) for part in node.args[1:]]
        return any(parts) if node.args[0] == "or" else all(parts)
    signs, *members = node.args
    try:
        values = [value_at(member, {name: point}) for member in members]
    except UndefinedError:
        return False
    for left, sign, right in zip(values, signs, values[1:], strict=False):
        near = abs(left - right) <= (1 + abs(left) + abs(right)) * type(left + right)("1e-40")
        true = {"<": left < right, ">": left > right, "≤": left < right, "≥": left > right}.get(
            sign, not near
        )
        if (near and sign in "<>≠") or not (true or near):
            return False
    return True


# ── algebra of regions ───────────────────────────────────────────────────────────────────────────


def join(pieces: Region) -> Region:
    """The union, in order, what touches made one."""
    if len(pieces) > MOST:
        raise TooLargeError("pieces")
    made: Region = []
    for piece in sorted(pieces, key=lambda piece: (piece.low, not piece.low_closed)):
        last = made[-1] if made else None
        if last and (
            (piece.low < last.high and not _near(piece.low, last.high))
            or (_near(piece.low, last.high) and (piece.low_closed or last.high_closed))
        ):
            high, closed = max((last.high, last.high_closed), (piece.high, piece.high_closed))
            made[-1] = Piece(last.low, last.low_closed, high, closed)
        else:
            made.append(piece)
    return made


def meet(left: Region, right: Region) -> Region:
    """The intersection."""
    made = []
    for a in left:
        for b in right:
            low, low_open = max((a.low, not a.low_closed), (b.low, not b.low_closed))
            high, high_closed = min((a.high, a.high_closed), (b.high, b.high_closed))
            if low < high or (low == high and not low_open and high_closed):
                made.append(Piece(low, not low_open, high, high_closed))
    return join(made)


def rest(inside: Region) -> Region:
    """All numbers that are not in it."""
    made, low, closed = [], -INFINITY, False
    for piece in inside:
        if low < piece.low or (low == piece.low and closed and not piece.low_closed):
            made.append(Piece(low, closed, piece.low, not piece.low_closed))
        low, closed = piece.high, not piece.high_closed
    if low != INFINITY:
        made.append(Piece(low, closed, INFINITY, False))
    return [
        piece._replace(
            low_closed=piece.low_closed and piece.low != -INFINITY,
            high_closed=piece.high_closed and piece.high != INFINITY,
        )
        for piece in made
    ]
