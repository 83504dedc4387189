"""The process that runs checkers: items in on stdin, judgements out on stdout, one JSON line each.

    [1] parent → worker   "math"                      get ready for this kind: imports
    [2] worker → parent   "ready"
    [3] parent → worker   {"problem_id": "q1", "kind": "math", "answer": "1+x", "response": "..."}
    [4] worker → parent   {"status": "correct", "checker": "math/1:math-verify-0.9.0", ...}

What it may do is limited by the process, not by trust in sympy: no environment variables, a limit on
address space, no core files, no network (where the kernel lets a user leave it). It ends when its
stdin does, when its parent dies, and (where the system cannot tell it that) by SIGALRM a while after
the deadline of an item. The deadline itself is the parent's to keep. It is no sandbox: files are still
there.
"""

import contextlib
import os
import resource
import signal
import sys
from collections.abc import Callable
from typing import BinaryIO

import msgspec

from distill.types import Kind
from distill.verify.item import Item, Judgement

READY = "ready"
PR_SET_PDEATHSIG = 1  # linux/prctl.h
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000  # linux/sched.h


def main(timeout_s: float, memory_gib: float) -> None:
    """Serve every kind that needs a worker."""
    confine(memory_gib)
    from distill.verify.check import judge, prepare

    serve(judge, timeout_s, prepare)


def confine(memory_gib: float) -> None:
    """Give up what a checker does not need, for good."""
    os.environ.clear()
    limit = int(memory_gib * 2**30)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _die_with_parent()


def _die_with_parent() -> None:
    import ctypes

    parent = os.getppid()
    with contextlib.suppress(OSError, AttributeError):  # not Linux: SIGALRM is all there is
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(0)


def leave_network() -> bool:
    """Go where no network is, not even this machine's own; False where the kernel does not let us."""
    import ctypes

    unshare = getattr(ctypes.CDLL(None), "unshare", None)
    return unshare is not None and unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0


def serve(
    judge: Callable[[Item], Judgement],
    timeout_s: float,
    prepare: Callable[[Kind], None] = lambda kind: None,
) -> None:
    """Answer items until stdin ends. What a checker prints goes nowhere: stdout is the channel, and a
    stderr pipe that nobody empties would stop the worker at 64 KB."""
    channel = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    _send(channel, READY)
    left = False
    for line in sys.stdin.buffer:
        asked = msgspec.json.decode(line, type=Item | str)
        if isinstance(asked, str):
            _send(channel, _prepared(prepare, asked))
            continue
        if not left:  # after the imports: in a user namespace root reads no other user's files
            leave_network()
            left = True
        signal.setitimer(signal.ITIMER_REAL, 2 * timeout_s + 1)
        judgement = _caught(judge, asked)
        signal.setitimer(signal.ITIMER_REAL, 0)
        _send(channel, judgement)


def _send(channel: BinaryIO, message: str | Judgement) -> None:
    channel.write(msgspec.json.encode(message) + b"\n")
    channel.flush()


def _prepared(prepare: Callable[[Kind], None], kind: str) -> str:
    """``ready``, or why not. One thread for what numpy starts: with two, no namespace can be left."""
    os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"
    try:
        prepare(msgspec.convert(kind, Kind))
    except (ImportError, OSError) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        os.environ.clear()
    return READY


def _caught(judge: Callable[[Item], Judgement], item: Item) -> Judgement:
    # The one broad except: whatever a checker or sympy raises is a verdict of its own, never "wrong".
    try:
        return judge(item)
    except Exception as error:  # noqa: BLE001
        return Judgement(
            status="checker_error",
            expected=item.expected,
            checker=f"{item.kind}/1:crash",
            detail=f"{type(error).__name__}: {error}"[:500],
        )
