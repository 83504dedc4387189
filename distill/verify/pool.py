"""Checkers in worker processes: a deadline per item, and one hostile answer costs no more than that.

    with CheckPool(workers=2, timeout_s=10) as pool:
        verdict = await pool.judge(problem, trace)         # from asyncio
        for verdict in pool.judge_all(pairs): ...          # from any thread, in input order

What needs no algebra is decided in the calling process; a worker (1.6 s to import math-verify) is only
started when an answer asks for one. Programs (kind `code`) run in sandboxes instead, with limits of their
own (`distill.verify.code`). Each worker belongs to one thread, which feeds it one item at a
time and kills it when the deadline passes: status ``timeout``. A worker that dies is ``checker_error``.
It protects this process from what answers do to sympy.
"""

import asyncio
import contextlib
import os
import select
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

import msgspec

from distill import jsonl
from distill.errors import DistillError
from distill.types import Kind, Problem, Trace, Verdict
from distill.verify.check import quick, require_checkers
from distill.verify.code import CodeChecker
from distill.verify.item import Item, Judgement, item_of, verdict_of
from distill.verify.judge import Judge
from distill.verify.worker import READY

MEMORY_GIB = 4.0  # of address space; math-verify and sympy map about 0.2
START_S = 60.0  # for a worker's imports: 1.6 s on an idle core, far more on a busy machine
LOOK_AHEAD = 64  # items per worker that `judge_all` reads beyond the one it waits for


class CheckPool:
    """Worker processes that judge traces. ``worker`` is the module whose `main` they run; ``judge`` grades
    what no rule can check, and is closed with the pool; ``sandbox``: where programs run."""

    def __init__(
        self, workers: int | None = None, timeout_s: float = 10.0, *,
        worker: str = "distill.verify.worker", judge: Judge | None = None, sandbox: str = "auto",
    ) -> None:  # fmt: skip
        self.workers = workers or os.cpu_count() or 1
        self.timeout_s = timeout_s
        self._module = worker
        self._judge = judge
        self._code = CodeChecker(timeout_s, sandbox)
        self._threads = ThreadPoolExecutor(self.workers, thread_name_prefix="check")
        self._own = threading.local()  # .worker: the one of this thread
        self._lock = threading.Lock()
        self._alive: set[Worker] = set()
        self._closed = False

    async def judge(self, problem: Problem, trace: Trace) -> Verdict:
        """Judge one trace without blocking the event loop."""
        judged = self._judged(problem, trace)
        if isinstance(judged, Future):
            judged = await asyncio.wrap_future(judged)
        return verdict_of(trace, judged)

    def judge_all(self, pairs: Iterable[tuple[Problem, Trace]]) -> Iterator[Verdict]:
        """Judge many, verdicts in input order. Reads ahead a bounded number of pairs."""
        waiting: deque[tuple[Trace, Judgement | Future[Judgement]]] = deque()
        for problem, trace in pairs:
            waiting.append((trace, self._judged(problem, trace)))
            while waiting and (len(waiting) > LOOK_AHEAD * self.workers or _is_done(waiting[0][1])):
                yield _verdict(*waiting.popleft())
        while waiting:
            yield _verdict(*waiting.popleft())

    def _judged(self, problem: Problem, trace: Trace) -> Judgement | Future[Judgement]:
        item = item_of(problem, trace)
        if item.kind == "judge":
            require_checkers([item.kind], judge=self._judge is not None)
            assert self._judge is not None
            return self._judge.submit(item, trace.identity)
        if item.kind == "code":
            return self._threads.submit(self._code.judge, item)
        return quick(item) or self._threads.submit(self._ask, item)

    def _ask(self, item: Item) -> Judgement:
        """In a thread of the pool: put an item to this thread's worker, starting one if need be."""
        worker: Worker | None = getattr(self._own, "worker", None)
        if worker is None or not worker.usable():
            worker = self._own.worker = self._start()
        try:
            worker.prepare(item.kind)
        except DistillError:
            self._forget(worker)
            raise
        judgement = worker.ask(item, self.timeout_s)
        if not worker.usable():
            self._forget(worker)
            if self._closed:  # we killed it ourselves: that is no verdict on the item
                raise DistillError("the checkers were closed while an answer was being judged")
        return judgement

    def _start(self) -> "Worker":
        with self._lock:
            if self._closed:
                raise DistillError("the checkers were closed while answers were still waiting")
            worker = Worker(self._module, self.timeout_s)
            self._alive.add(worker)
        try:
            worker.wait_until_ready()
        except DistillError:
            self._forget(worker)
            raise
        return worker

    def _forget(self, worker: "Worker") -> None:
        """In the worker's own thread: end it and free its pipes."""
        worker.kill()
        worker.close_pipes()
        with self._lock:
            self._alive.discard(worker)

    def close(self) -> None:
        """Kill the workers, free the judge; what was still being judged is lost. Safe to call twice."""
        with self._lock:
            self._closed = True
            for worker in self._alive:
                worker.kill()
        self._code.kill()
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._code.close()
        for worker in self._alive:  # no thread reads from them any more
            worker.close_pipes()
        self._alive.clear()
        if self._judge is not None:
            self._judge.close()

    def __enter__(self) -> "CheckPool":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:  # fmt: skip
        self.close()


def _is_done(judged: Judgement | Future[Judgement]) -> bool:
    return isinstance(judged, Judgement) or judged.done()


def _verdict(trace: Trace, judged: Judgement | Future[Judgement]) -> Verdict:
    return verdict_of(trace, judged if isinstance(judged, Judgement) else judged.result())


class Worker:
    """One worker process, used by one thread."""

    def __init__(self, module: str, timeout_s: float) -> None:
        code = (
            "import sys; sys.path[:] = sys.argv[1:]; "
            f"from {module} import main; main({timeout_s!r}, {MEMORY_GIB!r})"
        )
        # -I and an empty environment: nothing of the user's reaches the worker but the import path.
        # A session of its own: Ctrl-C is for the parent to handle.
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", code, *(os.path.abspath(entry) for entry in sys.path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={}, cwd="/", start_new_session=True, bufsize=0,
        )  # fmt: skip
        self.pid = self._process.pid
        self._received = b""
        self._prepared: set[Kind] = set()

    def usable(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def wait_until_ready(self) -> None:
        """Wait for a start or an import. Raises `DistillError` with the worker's own words if it fails."""
        line = self._line(START_S)
        said = msgspec.json.decode(line, type=str) if line else ""
        if said == READY:
            return
        self.kill()
        assert self._process.stderr is not None
        said = said or self._process.stderr.read().decode(errors="replace").strip()
        raise DistillError(
            "a checker process did not start: "
            + (said.rpartition("\n")[2] or f"silent for {START_S:.0f} s")
        )

    def prepare(self, kind: Kind) -> None:
        """Get ready for a kind, once: what is slow at first is no part of an item's deadline."""
        if kind not in self._prepared:
            self._write(kind)
            self.wait_until_ready()
            self._prepared.add(kind)

    def ask(self, item: Item, timeout_s: float) -> Judgement:
        """Judge one item. After a ``timeout`` or a death the worker is not usable any more."""
        self._write(item)
        line = self._line(timeout_s)
        if line:
            return msgspec.json.decode(line, type=Judgement)
        late = line is None
        self.kill()
        return Judgement(
            status="timeout" if late else "checker_error",
            expected=item.expected,
            checker=f"{item.kind}/1:{'deadline' if late else 'crash'}",
            detail=f"no verdict within {timeout_s:g} s" if late else self._death(),
        )

    def _write(self, message: object) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it died: reading will say so
            view = memoryview(jsonl.encode(message))
            while view:
                view = view[self._process.stdin.write(view) :]

    def _line(self, timeout_s: float) -> bytes | None:
        """The next line; empty if the worker is gone, None if the time is up."""
        assert self._process.stdout is not None
        ends_at = time.monotonic() + timeout_s
        descriptor = self._process.stdout.fileno()
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        while b"\n" not in self._received:
            if not poll.poll(max(0.0, ends_at - time.monotonic()) * 1000):
                return None
            data = os.read(descriptor, 1 << 16)
            if not data:
                return b""
            self._received += data
        line, _, self._received = self._received.partition(b"\n")
        return line

    def _death(self) -> str:
        code = self._process.wait()
        how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        return f"the checker process died ({how})"

    def kill(self) -> None:
        """End the process at once. Any thread may."""
        self._process.kill()
        self._process.wait()

    def close_pipes(self) -> None:
        """Free the descriptors. Only when no thread uses them: numbers are reused at once."""
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert pipe is not None
            pipe.close()
