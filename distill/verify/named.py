r"""``x = 3``: the name of a value, and the value.

unnamed(parse("n = 8+8+3 = 19"))      # (n, 19): the last member of a chain is its value
unnamed(parse("2x+z=1"))              # (None, the equation): that is no name
"""

from collections.abc import Sequence

from distill.verify.tree import Node, names, num

_MINUS_ONE = Node("neg", (num(1),))


def is_named(node: Node) -> bool:
    return node.op == "rel" and all(sign in "=≈" for sign in node.args[0])


def unnamed(node: Node) -> tuple[Node | None, Node]:
    """The name of ``name = value``, or None, and the value: the last member that is not rounded."""
    if not is_named(node):
        return None, node
    signs, *members = node.args
    last = len(members) - 1
    if _is_label(members[0]):
        while last > 1 and signs[last - 1] == "≈":
            last -= 1
        return members[0], members[last]
    if len(members) == 2 and signs == ("=",) and _is_label(members[1]) and not names(members[0]):
        return members[1], members[0]
    while last > 0 and signs[last - 1] == "≈":
        last -= 1
    plain = not any(names(member) for member in members[1 : last + 1])
    if plain and (not names(members[0]) or last > 1 or last == 0):
        return None, members[last]
    return None, node


def _is_label(node: Node) -> bool:
    """One thing with a name: x, x_1, f(x), AB, |AB|, angle ABC, (x, y), AB/CD, S_1:S."""
    if node.op in ("name", "label"):
        return True
    if node.op == "mul":
        return all(_is_label(part) for part in node.args)
    if node.op == "pow":  # an inverse, a transposed matrix
        return node.args[0].op == "name" and node.args[1] in (_MINUS_ONE, Node("name", ("T",)))
    if node.op in ("group", "list"):
        parts = [part for part in node.args if isinstance(part, Node)]
        return all(part.op == "name" for part in parts)
    if node.op in ("div", "ratio"):
        return all(_is_label(part) for part in node.args)
    return node.op == "fn" and node.args[1] is None and _is_label(node.args[2])  # |AB|, tan A


def fields_of(parts: Sequence[Node]) -> dict[str, Node] | None:
    """Values by name where each has one of its own; x_1 and x_2 are two values of one name."""
    found: dict[str, Node] = {}
    stems = set()
    for part in parts:
        name, value = unnamed(part)
        if name is None or name.op != "name":
            return None
        found[name.args[0]] = value
        stems.add(name.args[0].partition("_")[0])
    return found if len(stems) == len(parts) else None
