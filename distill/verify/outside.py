"""The outer side of a sandbox: a warden process that we start, and the frames that we exchange with it.

    with Warden(find_sandbox("auto")) as warden:
        ran = warden.run(Job(mode="stdin", code="print(input()[::-1])"), b"abc")
        ran.stdout                                 # b"cba\\n"

It says nothing about what a sandbox is: the command and the rules come from `distill.verify.sandbox`.
"""

import contextlib
import functools
import json
import os
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from distill.verify.inside import confine
from distill.verify.inside.keeper import Frame, Rules
from distill.verify.inside.program import Job

START_S = 60.0  # until a warden has its modules: 0.2 s on an idle core, far more on a busy machine
SLACK_S = 20.0  # beyond a run's own limit, after which its warden is taken for lost

BOOT = """\
import sys, types
for name in ("distill", "distill.verify", "distill.verify.inside"):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = []
inside = sys.modules["distill.verify.inside"]
for name, text in zip(sys.argv[2::2], sys.argv[3::2]):
    module = types.ModuleType("distill.verify.inside." + name)
    sys.modules[module.__name__] = module
    setattr(inside, name, module)
    exec(compile(text, "<" + name + ">", "exec"), module.__dict__)
inside.warden.main(sys.argv[1])
"""
# The modules that a warden is made of, each after those that it imports.
INSIDE = ("plain", "confine", "messages", "prelude", "proxy", "program", "keeper", "warden")


class Sandbox(NamedTuple):
    """How a warden is started. ``many``: it may serve run after run, each confined anew."""

    name: str
    command: tuple[str, ...]
    rules: Rules
    many: bool = True

    @property
    def safe(self) -> bool:
        return self.rules.confined


class Ran(NamedTuple):
    """How a program ended: ``exit`` or ``signal`` with its number, or the limit that it broke (``wall``,
    ``cpu``, ``output``, ``disk``). ``broken``: it could not be started as it should."""

    why: str
    code: int = 0
    cpu_s: float = 0.0
    stdout: bytes = b""
    stderr: bytes = b""
    error: str = ""


class WardenLost(Exception):
    """The sandbox's own process ended or fell silent: no verdict on any program."""


def this_python() -> str:
    """The interpreter that runs us, whatever environment it was started from."""
    return os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)


class Warden:
    """A warden process, used by one thread, one run at a time."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self._process: subprocess.Popen[bytes] | None = None
        self._received = bytearray()
        self._box: str | None = None
        self._lost = False
        self.running = False  # a program, which has not ended yet
        self.hello: dict[str, object] = {}
        self._open()

    def _open(self) -> None:
        rules = self.sandbox.rules
        python = "python3" if self.sandbox.name.startswith("container") else this_python()
        if not rules.box:
            self._box = tempfile.mkdtemp(prefix="distill-box-")
            if rules.nobody:
                os.chown(self._box, confine.NOBODY, confine.NOBODY)
            rules = rules._replace(box=self._box)
        texts = [part for name in INSIDE for part in (name, _source(name))]
        # Nothing of ours goes along: no variables, no descriptors, no folder. A session of its own:
        # Ctrl-C is for the parent to handle.
        self._process = subprocess.Popen(
            [*self.sandbox.command, python, "-I", "-S", "-B", "-X", "utf8", "-c", BOOT]
            + [json.dumps(rules._asdict()), *texts],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={"PATH": os.environ.get("PATH", os.defpath)} if "container" in self.sandbox.name else {},
            cwd="/", start_new_session=True, bufsize=0,
        )  # fmt: skip
        self._received = bytearray()
        frame = self._next(time.monotonic() + START_S)
        self.hello = json.loads(frame.data)

    @property
    def usable(self) -> bool:
        """Whether it can take a run (one for each run opens anew by itself)."""
        if self._process is None:
            return not self.sandbox.many and not self._lost
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process that we started; the programs are its descendants."""
        assert self._process is not None
        return self._process.pid

    def run(self, job: Job, given: bytes = b"") -> Ran:
        """One program from start to end. Raises `WardenLost`."""
        self.start(job, given)
        return self.wait(job)

    def start(self, job: Job, given: bytes = b"") -> None:
        """Start a program; its data comes by `message`."""
        if self._process is None:
            self._open()
        self.running = True
        self._send(b"J", json.dumps(job._asdict()).encode())
        self._send(b"I", given)

    def wait(self, job: Job) -> Ran:
        """Everything of a program that is not talked with, or not any more."""
        while True:
            message = self.message(job)
            if isinstance(message, Ran):
                return message

    def message(self, job: Job) -> bytes | Ran:
        """The next message of the program, or how it ended."""
        ends_at = time.monotonic() + job.wall_s + SLACK_S
        parts: dict[bytes, bytes] = {}
        while True:
            letter, data = self._next(ends_at)
            if letter == b"D":
                return data
            if letter == b"E":
                self.running = False
                if not self.sandbox.many:
                    self.close()
                streams = parts.get(b"O", b""), parts.get(b"S", b"")
                return Ran(**json.loads(data))._replace(stdout=streams[0], stderr=streams[1])
            parts[letter] = data

    def say(self, data: bytes) -> None:
        """A message to the program."""
        self._send(b"D", struct.pack(">I", len(data)) + data)

    def stop(self) -> None:
        """End the program; what it leaves comes by `wait`."""
        self._send(b"X", b"")

    def _send(self, letter: bytes, data: bytes) -> None:
        assert self._process is not None and self._process.stdin is not None
        view = memoryview(letter + struct.pack(">I", len(data)) + data)
        try:
            while view:
                view = view[self._process.stdin.write(view) :]
        except (BrokenPipeError, ValueError):
            raise WardenLost(self._last_words()) from None

    def _next(self, ends_at: float) -> Frame:
        while True:
            if len(self._received) >= 5:
                size = struct.unpack(">I", self._received[1:5])[0]
                if len(self._received) >= 5 + size:
                    frame = Frame(bytes(self._received[:1]), bytes(self._received[5 : 5 + size]))
                    del self._received[: 5 + size]
                    return frame
            self._receive(ends_at)

    def _receive(self, ends_at: float) -> None:
        assert self._process is not None and self._process.stdout is not None
        poll = select.poll()
        poll.register(self._process.stdout, select.POLLIN)
        if not poll.poll(max(0.0, ends_at - time.monotonic()) * 1000):
            self.abandon()
            raise WardenLost("the sandbox fell silent")
        data = os.read(self._process.stdout.fileno(), 1 << 20)
        if not data:
            raise WardenLost(self._last_words())
        self._received += data

    def _last_words(self) -> str:
        said = ""
        self._lost = True
        if self._process is not None and self._process.stderr is not None:
            self._process.kill()
            said = self._process.stderr.read().decode(errors="replace").strip().rpartition("\n")[2]
        self.close()
        return said or "the sandbox ended by itself"

    def abandon(self) -> None:
        """End it, whatever it is doing; it takes no run any more."""
        self._lost = True
        self.close()

    def kill(self) -> None:
        """End it, and with it what runs in it. Any thread may: the one that uses it gets `WardenLost`."""
        process = self._process
        if process is not None:
            process.kill()

    def close(self) -> None:
        """Kill it and free what it holds. Only its own thread may."""
        process, self._process = self._process, None
        self.running = False
        if process is not None:
            for pipe in (process.stdin, process.stdout, process.stderr):
                assert pipe is not None
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()  # its stdin has ended: it leaves, after it has ended its program
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(2)
            process.kill()
            process.wait()
        if self._box is not None:
            shutil.rmtree(self._box, ignore_errors=True)
            self._box = None

    def __enter__(self) -> "Warden":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:  # fmt: skip
        self.close()


@functools.cache
def _source(name: str) -> str:
    return (Path(__file__).parent / f"inside/{name}.py").read_text(encoding="utf-8")
