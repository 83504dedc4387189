r"""What an answer says, as a tree: numbers, names, operations, lists, sets, intervals, equations, matrices.

    parse(r"1\frac{1}{2}")        # Node("num", (Fraction(3, 2), None))
    parse(r"x=1 \text{ or } 2")   # Node("list", ("or", Node("rel", ...), Node("num", ...)))
    parse(r"\int_0^1 x dx")       # None: not every formula can be read here

LaTeX, plain text and Unicode alike. Linear in a bounded text: at most `LONGEST` characters, `DEEPEST`
levels. It calculates nothing but the value of a literal number. An answer that it reads wrongly would be
judged wrongly, so it refuses what it does not know.
"""

from fractions import Fraction
from functools import lru_cache

from distill.verify.cursor import CLOSING, OPEN, RELATIONS, SETS, STARTS, Cursor, UnreadableError
from distill.verify.tokens import Token, tokens
from distill.verify.tree import Node, measures, num

MOST_FACTORS = 100  # of a product; so deep is its tree
MOST_TOKENS = 1_200
LONGEST = 5_000  # characters; longer formulas are not read


@lru_cache(maxsize=8192)  # expected answers come again and again
def parse(text: str) -> Node | None:
    """The tree of an answer, or None where it cannot be read."""
    if len(text) > LONGEST:
        return None
    try:
        stream = tokens(text)
        if len(stream) > MOST_TOKENS:
            return None
        reader = Reader(stream)
        node = reader.everything()
    except (UnreadableError, RecursionError):
        return None
    return node if reader.at_end() else None


class Reader(Cursor):
    """Recursive descent, one token ahead."""

    # ── lists and relations ──────────────────────────────────────────────────────────────────────

    def everything(self) -> Node:
        """Parts between semicolons, each a list."""
        parts = [self._list()]
        while self._is(";"):
            self._take()
            if self.at_end() or self._is(*CLOSING.values(), "\\}", "}"):
                break
            parts.append(self._list())
        return parts[0] if len(parts) == 1 else Node("list", (";", *parts))

    def _list(self) -> Node:
        """Parts between commas, "and" and "or"."""
        parts, joined = [self._relation()], ","
        while self._is(",", "and", "or"):
            while self._is(",", "and", "or"):
                word = self._take().text
                joined = word if word != "," else joined
            if self.at_end() or self._is(*CLOSING.values(), "\\}", "}"):
                break
            parts.append(self._relation())
        return parts[0] if len(parts) == 1 else Node("list", (joined, *parts))

    def _relation(self) -> Node:
        members = [self._applied() or self._sets()]
        signs = []
        while self._next.kind == "op" and self._next.text in RELATIONS:
            signs.append(self._take().text)
            members.append(self._applied() or self._sets())
        return Node("rel", (tuple(signs), *members)) if signs else members[0]

    def _applied(self) -> Node | None:
        """``f(x)``, ``P(A)`` before a relation: one thing, no product."""
        if self._next.kind != "name":
            return None
        at = self._at + 1
        kinds = self._tokens
        if not (kinds[at].kind == "op" and kinds[at].text in ("(", "[")) or kinds[at].spaced:
            return None
        inside = []
        at += 1
        while kinds[at].kind in ("name", "num", "const") or kinds[at].text in (",", "∪", "∩", "|"):
            inside.append(kinds[at].text)
            at += 1
        after = kinds[min(at + 1, len(kinds) - 1)]
        if not inside or kinds[at].text not in (")", "]") or after.text not in RELATIONS:
            return None
        name = self._next.text
        self._at = at + 1
        return Node("name", (f"{name}({''.join(inside)})",))

    def _sets(self) -> Node:
        left = self._ratio()
        while self._next.kind == "op" and self._next.text in SETS:
            sign = self._take().text
            left = Node(sign, (left, self._ratio()))
        return left

    def _ratio(self) -> Node:
        parts = [self._sum()]
        while self._is(":"):
            self._take()
            parts.append(self._sum())
        return parts[0] if len(parts) == 1 else Node("ratio", tuple(parts))

    # ── arithmetic ───────────────────────────────────────────────────────────────────────────────

    def _sum(self) -> Node:
        terms = [self._signed()]
        while self._is("+", "-", "±", "∓"):
            sign = self._take().text
            term = self._product()
            terms.append(term if sign == "+" else Node("neg" if sign == "-" else sign, (term,)))
        return terms[0] if len(terms) == 1 else Node("add", tuple(terms))

    def _signed(self) -> Node:
        if self._is("+", "-", "±", "∓"):
            return self._nested(self._sign)
        return self._product()

    def _sign(self) -> Node:
        sign = self._take().text
        inside = self._signed()
        if sign == "+":
            return inside
        return Node("neg" if sign == "-" else sign, (inside,))

    def _product(self) -> Node:
        left = right = self._factor()
        for _ in range(MOST_FACTORS):
            if self._is("*", "/"):
                sign = self._take().text
                right = self._nested(self._sign) if self._is("-", "+", "±") else self._factor()
                left = Node("mul" if sign == "*" else "div", (left, right))
            elif right.op == "num" and self._next.kind == "num":
                raise UnreadableError("two numbers side by side are no product")
            elif self._next.kind == "text":
                if not measures(left):
                    raise UnreadableError("a unit of no number")
                left = self._units(left)
            elif self._starts():
                right = self._factor()
                left = Node("mul", (left, right))
            else:
                return left
        raise UnreadableError("too many factors")

    def _units(self, left: Node) -> Node:
        """``cm``, ``\\text{ per hour}``, ``平方米`` after a value; km/h and cm^2 belong together."""
        words = self._take().text
        while True:
            if self._is("^") and self._ahead().kind == "num":
                self._take()
                words += f"^{self._take().text}"
            elif self._is("^") and self._ahead().text == "{" and self._ahead(2).kind == "num":
                self._at += 2
                words += f"^{self._take().text}"
                self._want("}")
            elif self._is("/", "*") and self._ahead().kind in ("text", "name"):
                words += self._take().text + self._take().text
            elif self._next.kind == "text":
                words += " " + self._take().text
            else:
                return Node("unit", (left, words.strip()))

    def _starts(self) -> bool:
        if self._next.kind == "op":
            return self._next.text in OPEN or (self._next.text == "|" and not self._bars)
        return self._next.kind in STARTS

    def _factor(self) -> Node:
        if self._next.kind == "fn":
            return self._function()
        return self._postfix(self._primary())

    def _postfix(self, node: Node) -> Node:
        for _ in range(MOST_FACTORS):
            mark = self._next.text if self._next.kind == "op" else ""
            if mark == "^":
                self._take()
                node = Node("pow", (node, self._nested(self._exponent)))
            elif mark == "!":
                self._take()
                node = Node("fact", (node,))
            elif mark == "%":
                self._take()
                node = Node("percent", (node,))
            elif mark == "°":
                self._take()
                node = Node("deg", (self._minutes(node),))
            else:
                return node
        raise UnreadableError("too many signs")

    def _minutes(self, degrees: Node) -> Node:
        """``36°30'15''``: sixtieths of what stands before."""
        for part, mark in ((60, "'"), (3600, "''")):
            if self._next.kind == "num" and self._ahead().text == mark:
                value: Fraction = self._take().value[0]
                self._take()
                degrees = Node("add", (degrees, num(value / part)))
        return degrees

    def _exponent(self) -> Node:
        if self._is("-", "+"):
            sign = self._take().text
            inside = self._exponent()
            return inside if sign == "+" else Node("neg", (inside,))
        node = self._function() if self._next.kind == "fn" else self._primary()
        if self._is("^"):
            self._take()
            return Node("pow", (node, self._nested(self._exponent)))
        if self._is("!"):
            self._take()
            return Node("fact", (node,))
        return node

    def _function(self) -> Node:
        name = self._take().text
        power = base = None
        for _ in range(2):
            if self._is("_"):
                self._take()
                base = self._argument()
            elif self._is("^"):
                self._take()
                power = self._nested(self._exponent)
        if power == Node("neg", (num(1),)) and name in ("sin", "cos", "tan"):
            name, power = f"arc{name}", None
        inside = self._nested(self._operand)
        node = Node("fn", (name, base, inside))
        return node if power is None else Node("pow", (node, power))

    def _operand(self) -> Node:
        """What a function is applied to: a group, or a product up to the next function or sign."""
        if self._is("(", "[", "{"):
            return self._primary()
        if self._is("-"):
            self._take()
            return Node("neg", (self._operand(),))
        node = self._factor()
        while self._starts() and self._next.kind not in ("fn", "text") and not self._is("("):
            node = Node("mul", (node, self._postfix(self._primary())))
        if self._is("/") and self._ahead().kind == "num" and self._ahead(2).kind in ("end", "op"):
            self._take()
            node = Node("div", (node, self._primary()))
        return node

    # ── primaries ────────────────────────────────────────────────────────────────────────────────

    def _primary(self) -> Node:
        token = self._take()
        if token.kind == "num":
            return self._number(token)
        if token.kind in ("based", "label"):
            return Node(token.kind, token.value)
        if token.kind == "name":
            return Node("name", (token.text,))
        if token.kind == "const":
            return Node("const", (token.text,))
        if token.kind == "frac":
            return Node("div", (self._argument(), self._argument()))
        if token.kind == "binom":
            return Node("binom", (self._argument(), self._argument()))
        if token.kind == "sqrt":
            return self._root()
        if token.kind == "matrix":
            return self._matrix(token)
        if token.kind == "text":
            return Node("text", (token.text,))
        if token.kind == "op":
            return self._grouped(token.text)
        raise UnreadableError(token.text)

    def _number(self, token: Token) -> Node:
        """A number; with a fraction of integers directly behind it, a mixed number."""
        value, unit = token.value
        whole = unit is None and value.denominator == 1
        if whole and self._next.kind == "frac":
            at = self._at
            self._take()
            above, below = self._argument(), self._argument()
            if above.op == below.op == "num" and above.args[0] < below.args[0]:
                return num(value + above.args[0] / below.args[0])
            self._at = at
        spaced = self._next.kind == "num" and self._next.spaced and self._next.value[1] is None
        if whole and spaced and self._ahead().text == "/" and self._ahead(2).kind == "num":
            above, below = self._next.value[0], self._ahead(2).value[0]
            if 0 < above < below:
                self._at += 3
                return num(value + above / below)
        return Node("num", (value, unit))

    def _argument(self) -> Node:
        """A braced group, or one token: of the digits 12 only the 1."""
        token = self._next
        if token.kind == "num" and len(token.text) > 1 and token.text.isdigit():
            rest = token.text[1:]
            self._tokens[self._at] = Token("num", rest, False, (Fraction(int(rest)), None))
            return num(int(token.text[0]))
        return self._nested(self._primary)

    def _root(self) -> Node:
        index = num(2)
        if self._is("["):
            self._take()
            index = self._nested(self._sum)
            self._want("]")
        return Node("root", (self._argument(), index))

    def _grouped(self, mark: str) -> Node:
        if mark == "|":
            return self._absolute()
        bars, self._bars = self._bars, 0  # in brackets a bar opens again
        node = self._between(mark)
        self._bars = bars
        return node

    def _between(self, mark: str) -> Node:
        if mark == "{":
            node = self._nested(self.everything)
            self._want("}")
            return node
        if mark == "\\{":
            return self._nested(self._set)
        if mark in ("⌊", "⌈"):
            node = self._nested(self._sum)
            self._want(CLOSING[mark])
            return Node("fn", ("floor" if mark == "⌊" else "ceil", None, node))
        if mark in ("(", "[", "⟨"):
            return self._nested(lambda: self._bracketed(mark))
        raise UnreadableError(mark)

    def _absolute(self) -> Node:
        bars, self._bars = self._bars, 1
        node = self._sum()
        self._bars = bars
        self._want("|")
        return Node("fn", ("abs", None, node))

    def _set(self) -> Node:
        if self._is("\\}"):
            self._take()
            return Node("set", ())
        if self._describes():
            inside = self.everything()
            self._want("\\}")
            return Node("paren", (inside,))
        inside = self.everything()
        self._want("\\}")
        return Node("set", inside.args[1:] if inside.op == "list" else (inside,))

    def _describes(self) -> bool:
        """Whether ``{x | ...}`` or ``{x ∈ R : ...}`` begins here; then what stands before the bar is read."""
        member = self._ahead().text == "∈" and self._ahead(2).text == "reals"
        mark = self._ahead(3 if member else 1)
        if self._next.kind != "name" or mark.kind != "op" or mark.text not in ("|", ":"):
            return False
        self._at += 4 if member else 2
        return True

    def _bracketed(self, mark: str) -> Node:
        inside = self.everything()
        closing = self._take().text
        if closing not in (")", "]", "⟩"):
            raise UnreadableError(closing)
        if inside.op == "list":
            return Node("group", (mark, closing, *inside.args[1:]))
        if mark + closing not in ("()", "[]"):
            raise UnreadableError("half an interval")
        return Node("paren", (inside,)) if inside.op == "rel" else inside

    def _matrix(self, token: Token) -> Node:
        rows: list[tuple[Node, ...]] = []
        row: list[Node] = []
        while True:
            row.append(self._nested(self._sum))
            mark = self._take()
            if mark.kind == "op" and mark.text == "&":
                continue
            ends = mark.kind == "end-matrix"
            if not ends and not (mark.kind == "op" and mark.text == "\\\\"):
                raise UnreadableError(mark.text)
            rows.append(tuple(row))
            row = []
            if self._next.kind == "end-matrix":
                self._take()
                ends = True
            if ends:
                break
        if len({len(each) for each in rows}) != 1:
            raise UnreadableError("rows of different lengths")
        node = Node("matrix", tuple(rows))
        return Node("fn", ("det", None, node)) if token.text == "vmatrix" else node
