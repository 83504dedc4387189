"""Whether a machine is as it was: files, signals, sockets, processes, limits.

with Watch(folder) as watch:
    ...                       # run what may do harm; `watch.places` says where it would be seen
assert watch.harm() == []
"""

import contextlib
import os
import resource
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType

MARK = b"distill.verify.inside"  # stands in the command line of every process of a sandbox
SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP, signal.SIGCONT)


class Watch:
    """Things in harm's way, and a look at them afterwards. Only for the main thread (signals)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "ours"
        self.folder.mkdir()
        self.folder.chmod(0o777)  # only a sandbox keeps a program out
        self.canary = self.folder / "canary"
        self.canary.write_text("our own words")
        self.canary.chmod(0o666)
        self.arrived: list[int] = []

    def __enter__(self) -> "Watch":
        os.environ["DISTILL_SECRET"] = "SECRET"
        self._handlers = {s: signal.signal(s, lambda n, _: self.arrived.append(n)) for s in SIGNALS}
        self._bystander = subprocess.Popen(["sleep", "3600"])
        self._tcp = socket.create_server(("127.0.0.1", 0))
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(self._tcp.getsockname())
        self._abstract = socket.socket(socket.AF_UNIX)
        self._abstract.bind(f"\0distill-{os.getpid()}")
        self._abstract.listen()
        self._before = self._state()
        self._boxes = self._temporary()
        self._started = time.monotonic(), time.time()
        return self

    @property
    def places(self) -> dict[str, object]:
        """What the programs' words in capitals stand for."""
        return {
            "CANARY": self.canary,
            "FOLDER": self.folder,
            "PORT": self._tcp.getsockname()[1],
            "SOCKET": f"distill-{os.getpid()}",
            "PARENT": os.getpid(),
        }

    def harm(self) -> list[str]:
        """What is not as it was. To be asked inside, when the sandboxes are closed."""
        after = self._state()
        found = [
            f"{what}: {self._before[what]} → {after[what]}"
            for what in after
            if after[what] != self._before[what]
        ]
        found += [f"signal {number} arrived" for number in self.arrived]
        if self._bystander.poll() is not None or _status(self._bystander.pid) == "T":
            found.append("another process was ended or stopped")
        for name, server in (("tcp", self._tcp), ("abstract", self._abstract)):
            server.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                server.accept()
                found.append(f"{name}: somebody connected")
        self._udp.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            found.append(f"udp: {self._udp.recv(100)!r} arrived")
        monotonic, wall = self._started
        if abs((time.monotonic() - monotonic) - (time.time() - wall)) > 5:
            found.append("the clock was set")
        return found + self._left()

    def _state(self) -> dict[str, object]:
        status = self.canary.stat() if self.canary.exists() else None
        shared = "".join(
            Path(f"/proc/sysvipc/{name}").read_text()
            for name in ("shm", "msg")
            if os.path.exists("/proc/sysvipc")
        )
        return {
            "folder": sorted(os.listdir(self.folder)),
            "words": self.canary.read_text() if status else None,
            "mode": status and (status.st_mode, status.st_mtime_ns, status.st_nlink),
            "system": [
                p
                for p in ("/usr/lib/new", "/dev/shm/distill-hack", "/tmp/seen")
                if os.path.exists(p)
            ],
            "keys": str(0x5EED) in shared.split(),
            "host": socket.gethostname(),
            "limits": resource.getrlimit(resource.RLIMIT_NOFILE),
            "priority": os.getpriority(os.PRIO_PROCESS, 0),
            "processors": os.sched_getaffinity(0),
        }

    @staticmethod
    def _temporary() -> set[str]:
        return {
            name for name in os.listdir(tempfile.gettempdir()) if name.startswith("distill-box-")
        }

    def _left(self) -> list[str]:
        """Processes of a sandbox that outlived it: still ours, or nobody's."""
        deadline = time.monotonic() + 5
        while (found := leftovers()) and time.monotonic() < deadline:
            time.sleep(0.1)
        return [f"process {pid} is left" for pid in found]

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._bystander.kill()
        self._bystander.wait()
        for open_one in (self._tcp, self._udp, self._abstract):
            open_one.close()
        del os.environ["DISTILL_SECRET"]


def leftovers(parent: int | None = None) -> list[int]:
    """Processes of sandboxes, or that hacks start, whose parent is ``parent`` (ours) or nobody."""
    found = []
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if name.isdigit() and _status(int(name)) != "Z":
                line = Path(f"/proc/{name}/cmdline").read_bytes()
                if (MARK in line or line == b"sleep\x00600\x00") and _parent(int(name)) in (
                    1,
                    parent or os.getpid(),
                ):
                    found.append(int(name))
    return found


def _fields(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()


def _status(pid: int) -> str:
    return _fields(pid)[0]


def _parent(pid: int) -> int:
    return int(_fields(pid)[1])
