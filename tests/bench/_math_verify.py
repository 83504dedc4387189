"""The peer: math-verify as its README calls it, in a worker process like ours.

    with Peer() as peer:
        peer.judge(gold="1/2", response="\\boxed{0.5}").status

It keeps its own time-outs (SIGALRM, 5 s each), and the same deadline and kill as our workers on top. What
it does not accept is ``wrong``: it tells nothing apart.
"""

from types import TracebackType

from distill.types import Kind
from distill.verify.item import Item, Judgement
from distill.verify.pool import Worker
from distill.verify.worker import confine, serve

NAME = "math-verify"


def accepts(gold: str, response: str) -> bool:
    """What it says of a response, by its defaults. The gold stands in a box: 147 of 168 equal pairs of
    curated_tests so, 131 as they stand."""
    from math_verify import parse, verify

    return bool(verify(parse(f"\\boxed{{{gold}}}"), parse(response)))


def act(item: Item) -> Judgement:
    same = any(accepts(gold, item.response) for gold in item.answers)
    return Judgement(status="correct" if same else "wrong", checker=NAME)


def quiet() -> None:
    """It logs every time-out and every failure to parse."""
    import logging

    logging.disable(logging.CRITICAL)


def prepare(kind: Kind) -> None:
    quiet()
    accepts("x+1", "\\boxed{1+x}")


def main(timeout_s: float, memory_gib: float) -> None:
    confine(memory_gib)
    serve(act, timeout_s, prepare)


class Peer:
    """One worker of math-verify, started again when it had to be killed."""

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self._worker: Worker | None = None

    def judge(self, gold: str, response: str) -> Judgement:
        if self._worker is None:
            self._worker = Worker(__name__, self.timeout_s)
            self._worker.wait_until_ready()
            self._worker.prepare("math")
        item = Item(problem_id="peer", kind="math", answer=gold, response=response)
        judgement = self._worker.ask(item, self.timeout_s)
        if not self._worker.usable():
            self.close()
        return judgement

    def close(self) -> None:
        if self._worker is not None:
            self._worker.kill()
            self._worker.close_pipes()
            self._worker = None

    def __enter__(self) -> "Peer":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
