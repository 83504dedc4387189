"""Keeps a server that we start: ends all of its processes when we end, however we end.

    python keeper.py 10 SERVER ARGS...      # 10: seconds between asking its processes to end and SIGKILL

A program of its own, run by path with nothing but the standard library. Its stdin is a pipe whose other
end only our process holds: the kernel closes that end on every kind of exit, ``kill -9`` included. When
the pipe closes, a signal arrives or the server's own process ends, every process below this one gets
SIGTERM, and SIGKILL if that was not enough. Ends with the server's exit status (128 + the signal's
number).

Needed because vLLM's engine core outlives its API server: of an API server killed by SIGKILL, ready or
still loading, the engine core and the worker were there 20 s later, with all their memory (vLLM 0.32.0).
So a death signal to the direct child is not enough.
"""

import contextlib
import ctypes
import os
import selectors
import signal
import subprocess
import sys
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1  # linux/prctl.h
PR_SET_CHILD_SUBREAPER = 36
LOOK_EVERY_S = 0.2


def prctl(option: int, value: int) -> None:
    """Linux only; elsewhere the process group has to do."""
    call = getattr(ctypes.CDLL(None), "prctl", None)
    if call:
        call(option, value)


def below(root: int) -> set[int]:
    """Processes whose line of parents leads to ``root`` and which still run (zombies do not)."""
    parents: dict[int, int] = {}
    for entry in os.listdir("/proc") if os.path.isdir("/proc/self") else ():
        if not entry.isdigit():
            continue
        try:
            state, parent = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[:2]
        except (OSError, ValueError):
            continue
        if state not in "ZX":
            parents[int(entry)] = int(parent)
    family: set[int] = set()
    grown = {root}
    while grown:
        grown = {child for child, parent in parents.items() if parent in grown} - family
        family |= grown
    return family


class Keeper:
    """The server's process and, as far as the system can tell, all that came of it."""

    def __init__(self, command: list[str]) -> None:
        prctl(PR_SET_CHILD_SUBREAPER, 1)  # what loses its parent becomes ours, not init's
        self._asked = False
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._ask)
        self._parent = os.getppid()
        self._status: int | None = None
        self._server = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            # In case somebody kills this process, of all.
            preexec_fn=lambda: prctl(PR_SET_PDEATHSIG, signal.SIGKILL),
        )

    def _ask(self, number: int, frame: object) -> None:
        self._asked = True

    def watch(self) -> None:
        """Returns when the server has ended, or when it is to."""
        with selectors.DefaultSelector() as selector:
            selector.register(sys.stdin.fileno(), selectors.EVENT_READ)
            while self._alive() and not self._asked and os.getppid() == self._parent:
                if selector.select(LOOK_EVERY_S) and not os.read(sys.stdin.fileno(), 1024):
                    return

    def _alive(self) -> bool:
        """Whether the server's own process runs. Takes the status of everything that ended."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if pid == self._server.pid:
                self._status = os.waitstatus_to_exitcode(status)
        return self._status is None

    def end(self, grace_s: float) -> int:
        """End every process of the server; returns its exit status."""
        ends_by = time.monotonic() + grace_s
        os.killpg(0, signal.SIGTERM)  # reaches this process as well, which only notes it
        for pid in below(os.getpid()):
            with contextlib.suppress(ProcessLookupError):
                if os.getpgid(pid) != os.getpgid(0):
                    os.kill(pid, signal.SIGTERM)
        while self._alive() or below(os.getpid()):
            if time.monotonic() > ends_by:
                for pid in below(os.getpid()) or ({self._server.pid} if self._alive() else set()):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)
        code = self._status or 0
        return 128 - code if code < 0 else code


def main(grace_s: float, command: list[str]) -> int:
    keeper = Keeper(command)
    keeper.watch()
    return keeper.end(grace_s)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2:]))
