r"""Formulas as trees, and what can be asked of a tree without calculating.

    node = Node("mul", (num(3), Node("name", ("x",))))      # 3x
    names(node)                                             # {"x"}

`distill.verify.formula` makes them from text, `distill.verify.value` says what they are worth.
"""

from fractions import Fraction
from typing import Any, NamedTuple


class Node(NamedTuple):
    """An operation and what it is applied to; a leaf holds its literal."""

    op: str
    args: tuple[Any, ...]


def measures(node: Node) -> bool:
    """Whether there is a number (or a constant) in it, so that a unit can stand behind it."""
    if node.op in ("num", "const", "based"):
        return True
    return any(measures(part) for part in node.args if isinstance(part, Node))


def holds_text(node: Node) -> bool:
    """Whether words are part of it."""
    if node.op == "matrix":
        return any(holds_text(entry) for row in node.args for entry in row)
    return node.op == "text" or any(
        holds_text(part) for part in node.args if isinstance(part, Node)
    )


def num(value: Fraction | int) -> Node:
    return Node("num", (Fraction(value), None))


def names(node: Node) -> set[str]:
    """The variables of a formula."""
    if node.op in ("name", "label"):
        return {node.args[0]}
    if node.op == "matrix":
        return set().union(*(names(entry) for row in node.args for entry in row))
    found: set[str] = set()
    for part in node.args:
        if isinstance(part, Node):
            found |= names(part)
    return found


def has_matrix(node: Node) -> bool:
    """Whether a matrix is part of it."""
    return node.op == "matrix" or any(
        has_matrix(part) for part in node.args if isinstance(part, Node)
    )


def size_of(node: Node) -> int:
    """How many operations and leaves."""
    return 1 + sum(size_of(part) for part in node.args if isinstance(part, Node))


def has_steps(node: Node) -> bool:
    """Whether it rounds: then integers are points like no other."""
    if node.op == "fn" and node.args[0] in ("floor", "ceil"):
        return True
    return any(has_steps(part) for part in node.args if isinstance(part, Node))


def whole_names(node: Node) -> set[str]:
    """Variables that stand for integers: in a factorial, or in the exponent of a negative number."""
    op, args = node
    found: set[str] = set()
    if op in ("fact", "binom"):
        found = names(node)
    elif op == "pow" and _is_negative(args[0]):
        found = names(args[1])
    for part in args:
        if isinstance(part, Node):
            found |= whole_names(part)
    return found


def _is_negative(node: Node) -> bool:
    return node.op == "neg" or (node.op == "num" and node.args[0] < 0)
