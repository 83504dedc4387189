r"""Whether two answers of any shape are the same: values, lists, pairs, sets, equations, inequalities.

    same(parse("(x,y)=(3,-2)"), parse("x=3, y=-2"))         # True
    same(parse("1,2"), parse(r"x=2 \text{ or } x=1"))       # True
    same(parse("[0,3)"), parse("0 < x < 3"))                # False
    same(parse("y'=x"), parse("0"))                         # None: this cannot tell

The conventions are those of ``tests/verify/PAIRS.md``: lists and sets have no order, pairs have; a name
in front may be left out; an equation is its multiples. The first argument is the expected answer: where a
decimal stands for what rounds to it, only its decimals do.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from fractions import Fraction

from distill.verify.named import fields_of, is_named, unnamed
from distill.verify.quantities import same_quantity
from distill.verify.regions import TURNED, agrees, describes, region, same_region, variable_of
from distill.verify.tables import entries
from distill.verify.tree import Node
from distill.verify.value import difference_of, is_arithmetic, ratio, same_value

MOST = 200  # members of a list
MOST_PAIRS = 400  # members of two lists that are compared by value, each with each
BRACKETS = {"⟨": "(", "⟩": ")"}


def same(gold: Node, answer: Node) -> bool | None:
    """Whether two formulas are the same answer, or None."""
    gold, answer = _spread(gold), _spread(answer)
    if gold == answer:
        return True
    if describes(gold) or describes(answer):
        return _same_inequality(gold, answer)
    if is_named(gold) or is_named(answer):
        return _same_named(gold, answer)
    if gold.op in _SEVERAL or answer.op in _SEVERAL:
        return _same_several(gold, answer)
    if gold.op == "matrix" or answer.op == "matrix" or entries(gold) or entries(answer):
        return _same_matrix(gold, answer)
    if gold.op == "ratio" or answer.op == "ratio":
        return _same_ratio(gold, answer)
    if gold.op in _SETS or answer.op in _SETS:
        return _same_set(gold, answer)
    return same_quantity(gold, answer)


_SEVERAL = {"list", "set", "group"}
_SETS = {"∪", "∩", "∖"}


# ── plus and minus ───────────────────────────────────────────────────────────────────────────────


def _spread(node: Node) -> Node:
    """``±a`` written out as a list of both; a label, a unit or a set around it stays around it."""
    op, args = node
    if op == "paren":
        return _spread(args[0])
    if op == "mul" and args[0].op == "name" and args[1].op == "group":  # the point P(4,1)
        return _spread(args[1]) if args[0].args[0][:1].isupper() else node
    if op == "const" and args[0] == "empty":
        return Node("set", ())
    if op in ("list", "set"):
        head = args[:1] if op == "list" else ()
        parts: list[Node] = []
        for part in args[len(head) :]:
            made = _spread(part)
            parts += made.args[1:] if made.op == "list" and made.args[0] == "±" else [made]
        return Node(op, (*head, *parts))
    if op == "rel" and args[0] and args[0][-1] in "=≈" and _has_signs(args[-1]):
        return Node(
            "list", ("±", *(Node("rel", (*args[:-1], _signed(args[-1], s))) for s in (1, -1)))
        )
    if op not in ("group", "rel", "matrix") and _has_signs(node):
        return Node("list", ("±", _signed(node, 1), _signed(node, -1)))
    return node


def _has_signs(node: Node) -> bool:
    return node.op in "±∓" or any(_has_signs(part) for part in node.args if isinstance(part, Node))


def _signed(node: Node, sign: int) -> Node:
    """With the upper signs (1) or the lower ones (-1)."""
    if node.op in ("±", "∓"):
        inside = _signed(node.args[0], sign)
        return inside if (node.op == "±") == (sign > 0) else Node("neg", (inside,))
    parts = (_signed(part, sign) if isinstance(part, Node) else part for part in node.args)
    return Node(node.op, tuple(parts))


# ── names and equations ──────────────────────────────────────────────────────────────────────────


def _same_named(gold: Node, answer: Node) -> bool | None:
    (our_name, ours), (their_name, theirs) = unnamed(gold), unnamed(answer)
    equations = [node for node in (ours, theirs) if is_named(node)]
    if our_name is not None and their_name is not None:
        if our_name == their_name or _same_function(our_name, their_name):
            return same(ours, theirs)
        return bool(_proportional(gold, answer))
    if equations:
        both = is_named(gold) and is_named(answer)
        return _proportional(gold, answer) if both else False
    return same(ours, theirs)


def _same_function(left: Node, right: Node) -> bool:
    """y and f(x) name the same thing, and x_1 is an x."""
    if left.op != "name" or right.op != "name":
        return False
    ours, theirs = left.args[0], right.args[0]
    if {"y", "f(x)"} == {ours, theirs}:
        return True
    return ours.partition("_")[0] == theirs.partition("_")[0] and ("_" in ours) != ("_" in theirs)


def _proportional(left: Node, right: Node) -> bool | None:
    """Whether two equations are multiples of one another."""
    if len(left.args) != 3 or len(right.args) != 3:
        return None
    ours, theirs = difference_of(*left.args[1:]), difference_of(*right.args[1:])
    if not (is_arithmetic(ours) and is_arithmetic(theirs)):
        return None
    return ratio(ours, theirs) is not None


# ── inequalities and sets of numbers ─────────────────────────────────────────────────────────────


def _same_inequality(gold: Node, answer: Node) -> bool | None:
    ours, theirs = region(gold), region(answer)
    if ours is not None and theirs is not None:
        names_both = (
            describes(gold) and describes(answer) and variable_of(gold) and variable_of(answer)
        )
        if names_both and variable_of(gold) != variable_of(answer):
            return False
        return same_region(ours, theirs)
    if theirs is not None and describes(gold) and agrees(gold, theirs) is not None:
        return agrees(gold, theirs) if _one_variable(gold, answer) else False
    if ours is not None and describes(answer) and agrees(answer, ours) is not None:
        return agrees(answer, ours) if _one_variable(gold, answer) else False
    if describes(gold) != describes(answer):
        plain = gold if describes(answer) else answer
        if plain.op == "rel" or is_arithmetic(plain):
            return False
    if gold.op == answer.op == "rel" and len(gold.args) == len(answer.args) == 3:
        return _same_direction(gold, answer)
    return None


def _one_variable(gold: Node, answer: Node) -> bool:
    """Whether they are about one variable, where both name theirs."""
    variables = {variable_of(node) for node in (gold, answer) if describes(node)} - {None}
    return len(variables) <= 1


def _same_direction(left: Node, right: Node) -> bool | None:
    """Multiples of one another, turned round by a negative factor."""
    (ours,), (theirs,) = left.args[0], right.args[0]
    if "∈" in (ours, theirs):
        return None
    factor = ratio(difference_of(*left.args[1:]), difference_of(*right.args[1:]))
    if factor is None:
        return None
    turned: str = theirs if factor > 0 else TURNED.get(theirs, theirs)
    return bool(ours == turned)


def _same_set(gold: Node, answer: Node) -> bool | None:
    ours, theirs = region(gold), region(answer)
    if ours is not None and theirs is not None:
        return same_region(ours, theirs)
    if gold.op == answer.op:
        return (
            True if all(same(a, b) for a, b in zip(gold.args, answer.args, strict=True)) else None
        )
    return False if is_arithmetic(gold) or is_arithmetic(answer) else None


# ── lists, sets, pairs ───────────────────────────────────────────────────────────────────────────


def _members(node: Node) -> Sequence[Node]:
    if node.op == "list":
        return node.args[1:]
    if node.op == "group":
        return node.args[2:]
    return node.args if node.op == "set" else (node,)


def _same_several(gold: Node, answer: Node) -> bool | None:
    ours, theirs = _members(gold), _members(answer)
    if len(ours) > MOST or len(theirs) > MOST:
        return None
    kinds = {gold.op, answer.op}
    if kinds & _SETS or "const" in kinds:
        return _same_set(gold, answer)
    if kinds == {"group"}:
        return _same_groups(gold, answer)
    if "matrix" in kinds:
        return _same_matrix(gold, answer)
    if kinds == {"group", "list"}:
        return _same_unbracketed(gold, answer)
    if "set" in kinds:
        if "group" in kinds:
            return False
        return _each_found(ours, theirs) and _each_found(theirs, ours, turned=True)
    if len(ours) != len(theirs):
        return _decimal_comma(gold, answer)
    fields = fields_of(ours), fields_of(theirs)
    if fields[0] and fields[1] and fields[0].keys() == fields[1].keys():
        return _all(same(fields[0][name], fields[1][name]) for name in fields[0])
    return _unordered(ours, theirs)


def _all(verdicts: Iterable[bool | None]) -> bool | None:
    """True if all are, False if one is, else None."""
    made = list(verdicts)
    return False if False in made else None if None in made else True


def _same_groups(gold: Node, answer: Node) -> bool | None:
    ours, theirs = gold.args[2:], answer.args[2:]
    if len(ours) != len(theirs):
        return False
    marks = [tuple(BRACKETS.get(mark, mark) for mark in node.args[:2]) for node in (gold, answer)]
    if marks[0] != marks[1] and (len(ours) == 2 or {*marks[0], *marks[1]} != {"(", ")", "[", "]"}):
        return False
    return _all([same(a, b) for a, b in zip(ours, theirs, strict=True)])


def _same_unbracketed(gold: Node, answer: Node) -> bool | None:
    """A pair without its brackets: the same order, or each value with its name."""
    group, bare = (gold, answer) if gold.op == "group" else (answer, gold)
    inside, members = group.args[2:], list(bare.args[1:])
    if len(members) == 1 or any(part.op == "group" for part in members):
        return False
    if len(inside) != len(members) or group.args[:2] not in (("(", ")"), ("[", "]"), ("⟨", "⟩")):
        return False
    if group.args[:2] == ("[", "]") and len(inside) == 2 and any(is_named(m) for m in members):
        return False
    fields = fields_of(members)
    if fields:
        members = [fields[name] for name in sorted(fields)]
    pairs = zip(inside, members, strict=True)
    return _all([same(a, b) if group is gold else same(b, a) for a, b in pairs])


def _unordered(ours: Sequence[Node], theirs: Sequence[Node]) -> bool | None:
    """Each of one exactly once in the other."""
    left, right = Counter(ours), Counter(theirs)
    rest, free = list((left - right).elements()), list((right - left).elements())
    if len(rest) * len(free) > MOST_PAIRS:
        return None
    unknown = False
    for part in rest:
        verdicts: list[bool | None] = []
        for at, other in enumerate(free):
            verdict = same(part, other)
            verdicts.append(verdict)
            if verdict:
                free.pop(at)
                break
        else:
            if None not in verdicts:
                return False
            unknown = True
    return None if unknown else True


def _each_found(ours: Sequence[Node], theirs: Sequence[Node], turned: bool = False) -> bool | None:
    there = set(theirs)
    rest = [part for part in dict.fromkeys(ours) if part not in there]
    if len(rest) * len(there) > MOST_PAIRS:
        return None
    made: list[bool | None] = []
    for part in rest:
        verdicts = [same(other, part) if turned else same(part, other) for other in there]
        made.append(True if True in verdicts else None if None in verdicts else False)
    return _all(made)


def _decimal_comma(gold: Node, answer: Node) -> bool | None:
    """2,74 is 2.74 where that is what was asked for."""
    number, pair = (gold, answer) if gold.op == "num" else (answer, gold)
    if number.op != "num" or pair.op != "list" or len(pair.args) != 3 or number.args[1] is None:
        return False
    whole, part = pair.args[1:]
    if whole.op != "num" or part.op != "num" or not isinstance(number.args[1], Fraction):
        return False
    places = number.args[1].denominator
    return bool(whole.args[0] + part.args[0] / places == number.args[0] and part.args[0] < places)


# ── matrices and ratios ──────────────────────────────────────────────────────────────────────────


def _same_matrix(gold: Node, answer: Node) -> bool | None:
    ours, theirs = entries(gold), entries(answer)
    if ours is None or theirs is None:
        other = gold if ours is None else answer
        table = ours or theirs
        if table and other.op in ("group", "list") and 1 in (len(table), len(table[0])):
            flat = [entry for row in table for entry in row]
            members = _members(other)
            if len(flat) != len(members) or other.op == "list":
                return False
            return _all([same(a, b) for a, b in zip(flat, members, strict=True)])
        return False if is_arithmetic(other) or other.op in _SEVERAL else None
    if (len(ours), len(ours[0])) != (len(theirs), len(theirs[0])):
        return False
    pairs = [
        (a, b)
        for left, right in zip(ours, theirs, strict=True)
        for a, b in zip(left, right, strict=True)
    ]
    return _all([same(a, b) for a, b in pairs])


def _same_ratio(gold: Node, answer: Node) -> bool | None:
    """a:b is the quotient; a:b:c up to a factor."""
    ours, theirs = gold, answer
    if ours.op == theirs.op == "ratio" and len(ours.args) == len(theirs.args):
        first = zip(ours.args[1:], theirs.args[1:], strict=True)
        return _all(
            [
                same_value(Node("mul", (a, theirs.args[0])), Node("mul", (b, ours.args[0])))
                for a, b in first
            ]
        )
    quotients = [
        Node("div", node.args) if node.op == "ratio" and len(node.args) == 2 else node
        for node in (ours, theirs)
    ]
    if any(node.op == "ratio" for node in quotients):
        return False
    return same_value(quotients[0], quotients[1])
