r"""Matrices: the entries of one, of a multiple of one, of a sum of some.

entries(parse(r"2\begin{pmatrix}1&x\end{pmatrix}"))     # [[2*1, 2*x]], as trees
"""

from distill.verify.tree import Node, has_matrix
from distill.verify.value import is_arithmetic


def entries(node: Node) -> list[list[Node]] | None:
    """The entries of a matrix, of a multiple or a sum of matrices."""
    op, args = node
    if not has_matrix(node):
        return None
    if op == "matrix":
        return [list(row) for row in args]
    if op == "neg":
        inside = entries(args[0])
        return inside and [[Node("neg", (entry,)) for entry in row] for row in inside]
    if op in ("mul", "div"):
        matrix, factor = args if has_matrix(args[0]) else (args[1], args[0])
        inside = entries(matrix) if is_arithmetic(factor) else None
        if inside is None or (op == "div" and matrix is args[1]):
            return None
        first = op == "mul"
        return [
            [Node(op, (factor, entry) if first else (entry, factor)) for entry in row]
            for row in inside
        ]
    if op == "add":
        tables = [entries(part) for part in args]
        known = [table for table in tables if table is not None]
        shapes = {(len(table), len(table[0])) for table in known}
        if len(known) == len(tables) and len(shapes) == 1:
            return [
                [Node("add", entries) for entries in zip(*rows, strict=True)]
                for rows in zip(*known, strict=True)
            ]
    return None
