"""How many traces of one problem are kept: the first `per_problem` in plan order.

    selection = Selection(per_problem=4)
    selection.find("aime/1")      # None four times, then Reason("surplus", ...)

First by sample index, never by arrival: what arrives first is short, and a student would learn that.
"""

from distill.filter.reasons import Reason


class Selection:
    """Counts what was kept of the problem at hand; traces must come problem by problem."""

    def __init__(self, per_problem: int) -> None:
        self.per_problem = per_problem
        self._problem: object = None
        self._kept = 0
        self._reason = Reason("surplus", f"as many as per_problem ({per_problem}) are kept already")

    def find(self, problem: object) -> Reason | None:
        """A reason if the problem has its share already, else None (and it counts as kept)."""
        if problem != self._problem:
            self._problem, self._kept = problem, 0
        if self._kept >= self.per_problem:
            return self._reason
        self._kept += 1
        return None
