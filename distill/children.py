"""Child processes that do not outlive us.

    subprocess.Popen(command, preexec_fn=stop_with_us())

After ``kill -9`` of the parent (the kernel, short of memory, does that) the child gets SIGTERM: it
keeps what it finished and frees its lock, so the same command can go on. Linux only; elsewhere the
child ends by itself and its lock says so until then.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Callable

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def stop_with_us() -> Callable[[], object] | None:
    """What the child runs before it starts; None where the system cannot do it."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    return (lambda: prctl(PR_SET_PDEATHSIG, signal.SIGTERM)) if prctl else None


def this_python() -> list[str]:
    """The command that starts a Python which imports what this one does.

    ``-m`` looks in the working folder first, where a user's own random.py may lie: only where we did so
    ourselves (a bare checkout) must a child do it, too.
    """
    return [sys.executable, *([] if {"", os.getcwd()} & set(sys.path) else ["-P"])]
