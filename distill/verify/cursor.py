r"""Where a reader of tokens stands, and how deep.

    cursor = Cursor(tokens("(1,2)"))      # cursor._is("("); cursor._take(); ...

The base of `distill.verify.formula.Reader`, which knows the grammar.
"""

from collections.abc import Callable

from distill.verify.tokens import Token
from distill.verify.tree import Node

DEEPEST = 40  # levels of nesting
CLOSING = {"(": ")", "[": "]", "⟨": "⟩", "⌊": "⌋", "⌈": "⌉"}
RELATIONS = {"=", "<", ">", "≤", "≥", "≠", "≈", "∈"}
SETS = {"∪", "∩", "∖"}
STARTS = {
    "num",
    "based",
    "name",
    "fn",
    "const",
    "frac",
    "sqrt",
    "binom",
    "matrix",
    "text",
    "label",
}
OPEN = {"(", "[", "{", "\\{", "⟨", "⌊", "⌈"}


class UnreadableError(Exception):
    """The text is no formula that can be read here."""


class Cursor:
    """A place in a stream of tokens that ends with one of kind ``end``."""

    def __init__(self, stream: list[Token]) -> None:
        self._tokens = [*stream, Token("end", "", False)]
        self._at = 0
        self._deep = 0
        self._bars = 0  # open absolute values

    def at_end(self) -> bool:
        return self._next.kind == "end"

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _ahead(self, count: int = 1) -> Token:
        return self._tokens[min(self._at + count, len(self._tokens) - 1)]

    def _is(self, *marks: str) -> bool:
        return self._next.kind == "op" and self._next.text in marks

    def _take(self) -> Token:
        token = self._tokens[self._at]
        self._at += token.kind != "end"
        return token

    def _want(self, mark: str) -> None:
        if not self._is(mark):
            raise UnreadableError(mark)
        self._at += 1

    def _nested(self, inside: Callable[[], Node]) -> Node:
        self._deep += 1
        if self._deep > DEEPEST:
            raise UnreadableError("too deep")
        node = inside()
        self._deep -= 1
        return node
