"""The process that runs checkers: items in on stdin, judgements out on stdout, one JSON line each.

    [1] parent → worker   {"problem_id": "q1", "kind": "math", "answer": "1+x", "response": "..."}
    [2] worker → parent   {"status": "correct", "checker": "math/1:math-verify-0.9.0", ...}

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

import msgspec

from distill.verify.item import Item, Judgement

PR_SET_PDEATHSIG = 1  # linux/prctl.h
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000  # linux/sched.h


def main(timeout_s: float, memory_gib: float) -> None:
    """Serve math and choice. What is slow once (imports, sympy's tables: 1.6 s and 0.3 s) comes before
    the first item, so that an item's deadline is its own."""
    confine(memory_gib)
    from distill.verify.check import judge

    judge(Item(problem_id="", kind="math", answer="x+1", response="\\boxed{1+x}"))
    leave_network()
    serve(judge, timeout_s)


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


def serve(judge: Callable[[Item], Judgement], timeout_s: float) -> None:
    """Answer items until stdin ends. What a checker prints goes nowhere: stdout is the channel, and a
    stderr pipe that nobody empties would stop the worker at 64 KB."""
    channel = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    channel.write(b"ready\n")
    channel.flush()
    for line in sys.stdin.buffer:
        item = msgspec.json.decode(line, type=Item)
        signal.setitimer(signal.ITIMER_REAL, 2 * timeout_s + 1)
        judgement = _caught(judge, item)
        signal.setitimer(signal.ITIMER_REAL, 0)
        channel.write(msgspec.json.encode(judgement) + b"\n")
        channel.flush()


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
