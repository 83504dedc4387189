"""Which processes came of one that a test started, and whether they are gone.

Read from /proc: by parentage while they live (`family`), by process id and start time afterwards. An
environment variable would not do as a mark: vLLM's processes overwrite it with their title.
"""

import time
from pathlib import Path
from typing import NamedTuple

from distill.engine.keeper import below


class Process(NamedTuple):
    pid: int
    started: str  # ticks since boot: with the pid, names a process for good
    command: str


def find(pid: int) -> Process | None:
    """A process that runs; zombies do not."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return None
    return None if state in "ZX" else Process(pid, fields[18], command)


def family(pid: int) -> set[Process]:
    """What came of a process, without itself."""
    return {found for child in below(pid) if (found := find(child)) is not None}


def named(processes: set[Process], word: str) -> Process:
    """The one whose command line holds a word."""
    (found,) = [process for process in processes if word in process.command]
    return found


def assert_gone(processes: set[Process], within_s: float = 20) -> None:
    """A few seconds are allowed for SIGTERM, its grace and SIGKILL."""
    ends_by = time.monotonic() + within_s
    while left := {process for process in processes if _is_there(process)}:
        assert time.monotonic() < ends_by, f"still there after {within_s} s: {left}"
        time.sleep(0.05)


def _is_there(process: Process) -> bool:
    now = find(process.pid)  # its command line may read otherwise by now
    return now is not None and now.started == process.started
