"""A scripted engine: answers are a pure function of the identity. For tests of everything around one.

It solves the embedded world's problems by reading the worked solution, and errs on a fixed share of
identities, so that a run has traces of several statuses without any model.
"""

import asyncio
import hashlib

from distill.engine.protocol import Reply, Request
from distill.types import Finish, Identity
from distill.world import Solved


class ScriptedEngine:
    name = "scripted"

    def __init__(
        self, solved: list[Solved], *, in_flight: int = 64, wrong: float = 0.15, cut: float = 0.05,
        delay_s: float = 0.0,
    ) -> None:  # fmt: skip
        self._solved = {s.problem.id: s for s in solved}
        self.in_flight, self._wrong, self._cut, self._delay_s = in_flight, wrong, cut, delay_s
        self.asked: list[Identity] = []

    async def ask(self, request: Request) -> Reply:
        self.asked.append(request.identity)
        draw = share(request.identity)
        await asyncio.sleep(
            self._delay_s * (0.5 + draw)
        )  # replies come in another order than asked
        solved = self._solved[request.identity.problem_id]
        text = f"<think>\n{solved.reasoning}\n</think>\n\n{solved.response}"
        finish: Finish = "stop"
        if draw < self._wrong:
            text = f"<think>\n{solved.reasoning}\n</think>\n\n\\boxed{{-1}}"
        elif draw < self._wrong + self._cut:
            text, finish = f"<think>\n{solved.reasoning[:20]}", "length"
        return Reply(text, list(text.encode()), finish, 40, len(text) // 4, 0.01)

    async def close(self) -> None:
        pass


def share(identity: Identity) -> float:
    """A number in [0, 1) that belongs to an identity."""
    digest = hashlib.sha256(repr(tuple(identity)).encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32
