"""One run, from the job's frame to the end's: namespaces, the program, its data, its limits.

The keeper is forked from the warden for a run. It reads the job, leaves into new namespaces and forks the
program, which gives up every right before its first line. From then on what comes from there is bytes.
"""

import contextlib
import json
import os
import select
import shutil
import signal
import struct
import time
from typing import NamedTuple, NoReturn

from distill.verify.inside import confine, program

ERRORS_KEPT = 4096  # bytes of stderr
GRACE_MS = 50  # between looks at a folder that has no limit of its own
BLOCK = 1 << 16


class Frame(NamedTuple):
    letter: bytes
    data: bytes


def read_frame(descriptor: int) -> Frame | None:
    """The next frame, and not a byte more; None when the other side is gone."""
    head = _exactly(descriptor, 5)
    if head is None:
        return None
    data = _exactly(descriptor, struct.unpack(">I", head[1:])[0])
    return None if data is None else Frame(head[:1], data)


def _exactly(descriptor: int, size: int) -> bytes | None:
    parts, left = [], size
    while left:
        data = os.read(descriptor, min(left, 1 << 20))
        if not data:
            return None
        parts.append(data)
        left -= len(data)
    return b"".join(parts)


def write_frame(descriptor: int, letter: bytes, data: bytes = b"") -> None:
    """One frame, whole."""
    view = memoryview(letter + struct.pack(">I", len(data)) + data)
    while view:
        view = view[os.write(descriptor, view) :]


class Rules(NamedTuple):
    """What holds for every program of this warden."""

    box: str  # a folder of ours; its `tmp` is the program's
    readable: list[str]  # what Python needs
    system: list[str]  # what other languages need, as well
    packages: dict[str, str]  # importable besides the standard library: name and folder
    nobody: bool = False  # stop being root first
    read_only: bool = False  # make mounts read-only: nobody did
    private: bool = False  # there is one run only, and the namespaces around us are its own
    confined: bool = True  # False: nothing is asked of the kernel but limits


def leave(function: object, *arguments: object) -> NoReturn:
    """Run something as the whole rest of this process."""
    code = 70
    try:
        assert callable(function)
        code = function(*arguments) or 0
    finally:
        os._exit(code)


def end_children() -> None:
    """Kill and reap whatever is left of a run (orphans come to us)."""
    with contextlib.suppress(ChildProcessError):
        while True:
            for child in _children():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
            os.waitpid(-1, 0)


def _children() -> list[int]:
    try:
        with open(f"/proc/self/task/{os.getpid()}/children") as file:
            return [int(child) for child in file.read().split()]
    except OSError:
        return []


def keep(rules: Rules, proc: int, namespaces: bool, rulesets: dict[str, int]) -> int:
    """One run, from the job's frame to the end's. Returns this process's exit code."""
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    frame = read_frame(0)
    if frame and frame.letter != b"J":  # it came too late for the run before
        return 0
    given = read_frame(0) if frame else None
    if frame is None or given is None:
        return 1
    job = program.Job(**json.loads(frame.data))
    try:
        child = _start(job, rules, proc, namespaces, rulesets)
    except (OSError, ValueError) as error:
        write_frame(1, b"E", json.dumps({"why": "broken", "error": str(error)}).encode())
        return 0
    run = _Run(job, child, given.data, None if namespaces else f"{rules.box}/tmp")
    try:
        gone = run.carry()
    finally:
        run.end()
    if not namespaces:
        end_children()
        _empty(f"{rules.box}/tmp")
    if gone:
        return 1
    result = run.result()
    write_frame(1, b"O", bytes(run.output) if result["why"] == "exit" else b"")
    write_frame(1, b"S", bytes(run.errors[-ERRORS_KEPT:]))
    write_frame(1, b"E", json.dumps(result).encode())
    return 0


class Child(NamedTuple):
    """A started program and our ends of its pipes."""

    pid: int
    stdin: int
    stdout: int
    stderr: int
    requests: int
    replies: int


def _start(
    job: program.Job, rules: Rules, proc: int, namespaces: bool, rulesets: dict[str, int]
) -> Child:
    """Fork the program. Raises ``OSError`` with its own words if it could not be confined."""
    confine.prctl(confine.PR_SET_CHILD_SUBREAPER, 1)
    if job.mode == "command" and rules.confined and not (namespaces or rules.private):
        raise OSError(
            "programs of other languages need namespaces, which this system does not allow"
        )
    if namespaces:
        confine.prctl(confine.PR_SET_DUMPABLE, 1)
        confine.count_as_nobody()
        confine.enter_namespaces(f"{rules.box}/tmp", proc, job.tmp_mib, rules.read_only)
    ruleset = rulesets.get("command" if job.mode == "command" else "python", -1)
    confine.prctl(confine.PR_SET_DUMPABLE, 0)
    confine.prctl(confine.PR_SET_PDEATHSIG, signal.SIGKILL)
    pipes = [os.pipe() for _ in range(5)]
    ready, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        leave(_become, job, rules, proc, namespaces, ruleset, pipes, told)
    os.close(told)
    for (reads, writes), ours in zip(pipes, (1, 0, 0, 1, 0), strict=True):
        os.close(writes if ours == 0 else reads)
        os.set_blocking((reads, writes)[ours], False)
    with open(ready, "rb") as pipe:
        said = pipe.read().decode(errors="replace")
    if said:
        os.waitpid(pid, 0)
        raise OSError(said)
    write_frame(1, b"R")
    (_, stdin), (stdout, _), (stderr, _), (_, requests), (replies, _) = pipes
    return Child(pid, stdin, stdout, stderr, requests, replies)


def _become(
    job: program.Job, rules: Rules, proc: int, namespaces: bool, ruleset: int,
    pipes: list[tuple[int, int]], told: int,
) -> None:  # fmt: skip
    """In the child: give up every right, then be the program. What fails before that goes to ``told``."""
    try:
        os.setsid()
        confine.prctl(confine.PR_SET_DUMPABLE, 1)
        _first_to_die(proc)
        high = [os.dup(pair[side]) for pair, side in zip(pipes, (0, 1, 1, 0, 1), strict=True)]
        high += [os.dup(told), os.dup(ruleset if ruleset >= 0 else told)]
        for number, descriptor in enumerate(high):
            os.dup2(descriptor, 40 + number, inheritable=False)
        os.closerange(0, 40)
        os.closerange(40 + len(high), 256)
        for number in range(5):
            os.dup2(40 + number, number, inheritable=number < 3)
        os.closerange(40, 45)
        told = 45
        os.chdir(f"{rules.box}/tmp")
        foreign = job.mode == "command"
        if rules.confined and not namespaces:
            confine.count_as_nobody()
        # Without a namespace of users, all that nobody runs on this machine counts.
        processes = job.processes if namespaces else 8 * job.processes
        counted = namespaces or os.getuid() != os.geteuid()
        confine.limit(
            cpu_s=job.cpu_s, memory_mib=job.memory_mib, file_mib=job.file_mib, programs=foreign,
            processes=processes if counted else None,
        )  # fmt: skip
        confine.drop_capabilities()
        confine.prctl(confine.PR_SET_PDEATHSIG, signal.SIGKILL)
        if ruleset >= 0:
            confine.restrict_files(46)
        os.close(46)
        if rules.confined:
            confine.restrict_calls(processes=foreign)
    except (OSError, ValueError) as error:
        os.write(told, (str(error) or "could not be confined").encode())
        os._exit(71)
    program.run(job, told)


def _first_to_die(proc: int) -> None:
    """When the machine is out of memory: rather the program than anything else."""
    with contextlib.suppress(OSError):
        descriptor = os.open("self/oom_score_adj", os.O_WRONLY, dir_fd=proc)
        os.write(descriptor, b"1000")
        os.close(descriptor)


class _Run:
    """The life of one program: its data carried, its limits kept."""

    def __init__(self, job: program.Job, child: Child, given: bytes, folder: str | None) -> None:
        self.job, self.child, self.folder = job, child, folder
        self.output, self.errors = bytearray(), bytearray()
        self._said = bytearray()  # what has come of the program's next frame
        self._errors_seen = 0
        self._owed = 1 if job.mode in ("calls", "check") else 0  # frames the other side waits for
        self._out = {child.stdin: memoryview(given), child.requests: memoryview(b"")}
        self._why: str | None = None
        self._status: int | None = None
        self._cpu_s = 0.0
        self._process = os.pidfd_open(child.pid)
        self._ends_at = time.monotonic() + job.wall_s
        if not given:
            self._feed(child.stdin)  # its end

    def carry(self) -> bool:
        """Until the program ends or breaks a limit. True: the other side is gone."""
        talks = self.job.mode in ("calls", "check")
        while True:
            poll = select.poll()
            for descriptor in (0, self._process, self.child.stdout, self.child.stderr):
                if descriptor >= 0:
                    poll.register(descriptor, select.POLLIN)
            if talks and self._owed:
                poll.register(self.child.replies, select.POLLIN)
            for descriptor, data in self._out.items():
                if data:
                    poll.register(descriptor, select.POLLOUT)
            left_ms = (self._ends_at - time.monotonic()) * 1000
            if left_ms <= 0:
                self._why = "wall"
                return False
            for descriptor, _ in poll.poll(min(left_ms, GRACE_MS) if self.folder else left_ms):
                if descriptor == 0:
                    frame = read_frame(0)
                    if frame is None or frame.letter == b"X":
                        return frame is None
                    self._owed += 1
                    self._out[self.child.requests] = memoryview(frame.data)
                elif descriptor in self._out:
                    self._feed(descriptor)
                elif descriptor == self._process:
                    self._drain()
                    return False
                else:
                    self._take(descriptor)
            if self.folder and _size(self.folder) > self.job.tmp_mib << 20:
                self._why = "disk"
            if self._why:
                return False

    def _feed(self, descriptor: int) -> None:
        try:
            self._out[descriptor] = self._out[descriptor][
                os.write(descriptor, self._out[descriptor]) :
            ]
        except BlockingIOError:
            return
        except BrokenPipeError:  # it closed its stdin
            self._out[descriptor] = memoryview(b"")
        if not self._out[descriptor] and descriptor == self.child.stdin:
            os.close(descriptor)
            del self._out[descriptor]

    def _take(self, descriptor: int) -> bool:
        """Read what there is, once. False: nothing."""
        try:
            data = os.read(descriptor, BLOCK)
        except BlockingIOError:
            return False
        if descriptor == self.child.replies:
            self._said += data
            self._pass_on()
        elif descriptor == self.child.stdout:
            self.output += data
            if len(self.output) > self.job.output_mib << 20:
                self._why = "output"
        else:
            self.errors = (self.errors + data)[-2 * ERRORS_KEPT :]
            self._errors_seen += len(data)
            if self._errors_seen > self.job.output_mib << 20:
                self._why = "output"
        if not data:
            self._forget(descriptor)
        return bool(data)

    def _forget(self, descriptor: int) -> None:
        """It closed this one: never look again (a poll would spin)."""
        if descriptor == self.child.replies:
            self._owed = 0
        os.close(descriptor)
        names = {
            self.child.stdout: "stdout",
            self.child.stderr: "stderr",
            self.child.replies: "replies",
        }
        self.child = self.child._replace(**{names[descriptor]: -1})

    def _pass_on(self) -> None:
        """Whole frames of the program, as many as are waited for."""
        while self._owed and len(self._said) >= 4:
            size = struct.unpack(">I", self._said[:4])[0]
            if size > self.job.output_mib << 20:
                self._why = "output"
                return
            if len(self._said) < 4 + size:
                return
            write_frame(1, b"D", bytes(self._said[4 : 4 + size]))
            del self._said[: 4 + size]
            self._owed -= 1

    def _drain(self) -> None:
        """What it wrote before it ended."""
        self._reap()
        for name in ("stdout", "stderr", "replies"):
            descriptor = getattr(self.child, name)
            if descriptor >= 0 and (name != "replies" or self._owed):
                while self._why is None and self._take(descriptor):
                    pass

    def _reap(self) -> None:
        if self._status is None:
            _, self._status, used = os.wait4(self.child.pid, 0)
            self._cpu_s = used.ru_utime + used.ru_stime

    def end(self) -> None:
        """Kill it; with it goes its whole namespace of processes."""
        if self._status is None:
            os.kill(self.child.pid, signal.SIGKILL)
            self._reap()

    def result(self) -> dict[str, object]:
        assert self._status is not None
        code = os.waitstatus_to_exitcode(self._status)
        why = self._why or ("exit" if code >= 0 else "signal")
        # By ticks, the time used may fall short of the limit that the kernel found it over.
        if (
            code in (-signal.SIGKILL, -signal.SIGXCPU)
            and why == "signal"
            and self._cpu_s > self.job.cpu_s / 2
        ):
            why = "cpu"
        return {"why": why, "code": code, "cpu_s": round(self._cpu_s, 3)}


def _size(folder: str) -> int:
    total = 0
    for path, _, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(OSError):
                status = os.lstat(os.path.join(path, name))
                total += max(status.st_blocks * 512, 4096)
    return total


def _empty(folder: str) -> None:
    for path, _, _ in os.walk(folder):
        with contextlib.suppress(OSError):
            os.chmod(path, 0o700)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder, exist_ok=True)
