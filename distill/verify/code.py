"""Does the program that a model wrote pass its tests? In the sandbox, with all that is expected outside.

    item = Item(problem_id="q1", kind="code", response="```python\\ndef twice(n): return 2 * n\\n```",
                tests=FunctionTests(entry="twice", code="def check(c):\\n    assert c(2) == 4"))
    check_code(item).status        # "correct"

`stdin` tests: each input is a run of its own, and its output is compared here. `function` tests: the code
and the tests run in two sandboxes, and what passes between them is plain data. `command` tests: the code
stands where a file says ``{code}``; with cases, as for stdin; without, exit code 0 is all there is to go
by, and a program that exits early may cheat.

A program over its limit of time is ``timeout``; one that breaks another limit or crashes is ``wrong``. A
sandbox or a test that breaks is ``checker_error``, zero tests too. No code block: ``no_answer``.
"""

import json
import math
import re
import threading
import time
from collections.abc import Sequence
from typing import NamedTuple

from distill.errors import DistillError
from distill.types import CommandTests, FunctionTests, Status, StdinTests
from distill.verify.inside.program import Job
from distill.verify.item import Item, Judgement
from distill.verify.outside import Ran, Sandbox, Warden, WardenLost
from distill.verify.sandbox import find_sandbox

VERSION = "code/1"
WALL = 3  # times the limit of processor time: a busy machine does not make a program wrong
TOTAL = 10  # runs' worth of time for all tests of one answer
PLACEHOLDER = "{code}"

# By the label of a fence: what is surely no Python. A block of usage or output often follows the program.
_OTHER = {
    *(
        "text",
        "txt",
        "plaintext",
        "output",
        "console",
        "bash",
        "sh",
        "shell",
        "json",
        "yaml",
        "markdown",
    ),
    *(
        "md",
        "latex",
        "tex",
        "html",
        "xml",
        "diff",
        "csv",
        "c",
        "cpp",
        "c++",
        "java",
        "javascript",
        "js",
    ),
    *("rust", "go", "ruby", "sql", "input", "math", "mermaid"),
}
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})[ \t]*([^\s`]*)[^\n`]*$", re.MULTILINE)


class Outcome(NamedTuple):
    """A verdict on a program, and why."""

    status: Status
    detail: str | None = None


# ── the program in a response ────────────────────────────────────────────────────────────────────


def find_code(response: str, *, cut: bool = False, python: bool = True) -> str | None:
    """The last fenced block; for Python, none that is labelled as something else. An open block at the end
    counts unless the model was cut off."""
    found = None
    opening: re.Match[str] | None = None
    for fence in _FENCE.finditer(response):
        marks, label = fence[1], fence[2].lower()
        if opening is None:
            opening = fence
        elif marks[0] == opening[1][0] and len(marks) >= len(opening[1]) and not label:
            found = _block(response[opening.end() : fence.start()], opening, python) or found
            opening = None
    if opening is not None and not cut:
        found = _block(response[opening.end() :], opening, python) or found
    return found


def _block(text: str, opening: re.Match[str], python: bool) -> str | None:
    other = python and opening[2].lower() in _OTHER
    return None if other or not text.strip() else text.removeprefix("\n")


# ── the checker ──────────────────────────────────────────────────────────────────────────────────


def check_code(item: Item) -> Judgement:
    """Judge one response in sandboxes started for it alone."""
    checker = CodeChecker()
    try:
        return checker.judge(item)
    finally:
        checker.close()


class CodeChecker:
    """Judges programs from any number of threads, each with two warm sandboxes of its own."""

    def __init__(self, timeout_s: float = 10.0, sandbox: str = "auto") -> None:
        self._timeout_s = timeout_s
        self._choice = sandbox
        self._own = threading.local()
        self._lock = threading.Lock()
        self._wardens: set[Warden] = set()
        self._closed = False

    def judge(self, item: Item) -> Judgement:
        """The verdict on one response. Raises `DistillError` where there is no sandbox, or after `close`."""
        sandbox = find_sandbox(self._choice)
        code = find_code(
            item.response, cut=item.cut, python=not isinstance(item.tests, CommandTests)
        )
        if code is None:
            outcome = Outcome("no_answer", "no code block")
        else:
            outcome = self._outcome(item, code, sandbox)
        return Judgement(
            status=outcome.status,
            extracted=code,
            expected=item.expected,
            checker=f"{VERSION}:{sandbox.name}",
            detail=outcome.detail,
        )

    def _outcome(self, item: Item, code: str, sandbox: Sandbox) -> Outcome:
        try:
            if isinstance(item.tests, StdinTests):
                return self._cases(self._job("stdin", code), item.tests.cases, sandbox)
            if isinstance(item.tests, FunctionTests):
                return self._function(item.tests, code, sandbox)
            if isinstance(item.tests, CommandTests):
                return self._command(item.tests, code, sandbox)
            return Outcome("checker_error", "zero tests: the problem has no 'tests'")
        except WardenLost as lost:
            for role in ("program", "tests"):
                warden: Warden | None = getattr(self._own, role, None)
                if warden is not None and warden.running:
                    warden.abandon()
            if self._closed:  # we killed it ourselves: that is no verdict on the item
                raise DistillError("the checkers were closed while a program was running") from None
            return Outcome("checker_error", f"the sandbox broke: {lost}")

    def _job(self, mode: str, code: str = "", entry: str = "", times: float = 1) -> Job:
        seconds = self._timeout_s * times
        return Job(
            mode=mode, code=code, entry=entry, cpu_s=math.ceil(seconds), wall_s=WALL * seconds
        )  # fmt: skip

    # ── stdin and stdout ──

    def _cases(self, job: Job, cases: Sequence[tuple[str, str]], sandbox: Sandbox) -> Outcome:
        ends_at = time.monotonic() + TOTAL * self._timeout_s
        for number, (given, expected) in enumerate(cases, 1):
            name = f"test {number} of {len(cases)}"
            if time.monotonic() > ends_at:
                return Outcome(
                    "timeout", f"{name}: the tests before it took {TOTAL} times the limit of one"
                )
            ran = self._warden("program", sandbox).run(job, given.encode(errors="replace"))
            fault = _fault(ran)
            if fault:
                return Outcome(fault.status, f"{name}: {fault.detail}")
            if not same_output(ran.stdout.decode(errors="replace"), expected):
                return Outcome("wrong", f"{name}: another output")
        return Outcome("correct") if cases else Outcome("checker_error", "zero tests: no cases")

    def _command(self, tests: CommandTests, code: str, sandbox: Sandbox) -> Outcome:
        files = {path: text.replace(PLACEHOLDER, code) for path, text in tests.files.items()}
        bad = [path for path in files if path.startswith("/") or ".." in path.split("/")]
        if bad or not tests.run:
            why = (
                f"the file '{bad[0]}' lies outside the run's folder"
                if bad
                else "zero tests: no command"
            )
            return Outcome("checker_error", why)
        if files == tests.files:
            return Outcome(
                "checker_error", f"no file of the tests says {PLACEHOLDER}, where the code goes"
            )
        job = self._job("command")._replace(files=files, command=tests.run)
        if tests.cases:
            return self._cases(job, tests.cases, sandbox)
        return _fault(self._warden("program", sandbox).run(job)) or Outcome("correct")

    # ── functions ──

    def _function(self, tests: FunctionTests, code: str, sandbox: Sandbox) -> Outcome:
        """Start both sides, pass messages until one of them has come to an end, stop the other."""
        solving = self._job("calls", code, tests.entry)
        checking = self._job("check", tests.code, times=2)
        solver, checker = self._warden("program", sandbox), self._warden("tests", sandbox)
        solver.start(solving)
        checker.start(checking)
        ran = solver.message(solving)
        outcome = _not_started(ran)
        while outcome is None:
            asked = checker.message(checking)
            outcome = _end_of_tests(asked)
            if outcome is None:
                assert isinstance(asked, bytes)
                solver.say(asked)
                ran = solver.message(solving)
                if isinstance(ran, bytes):
                    checker.say(ran)
                    continue
                outcome = _fault(ran) or Outcome(
                    "wrong", "the program ended in the middle of the tests"
                )
        for warden, job, message in ((solver, solving, ran), (checker, checking, b"")):
            if isinstance(message, bytes) and warden.running:
                warden.stop()
                warden.wait(job)
        return outcome

    # ── sandboxes ──

    def _warden(self, role: str, sandbox: Sandbox) -> Warden:
        """This thread's own for that role: tests and programs never share one."""
        warden: Warden | None = getattr(self._own, role, None)
        if warden is not None and warden.usable:
            return warden
        with self._lock:
            if self._closed:
                raise DistillError("the checkers were closed while programs were still waiting")
        if warden is not None:
            warden.close()
        fresh = Warden(sandbox)
        with self._lock:
            self._wardens = (self._wardens - {warden}) | {fresh}
            closed = self._is_closed()
        if closed:
            fresh.kill()
        setattr(self._own, role, fresh)
        return fresh

    def _is_closed(self) -> bool:
        return self._closed

    def kill(self) -> None:
        """End every run at once. The threads in `judge` raise `DistillError`."""
        with self._lock:
            self._closed = True
            for warden in self._wardens:
                warden.kill()

    def close(self) -> None:
        """Free everything. Only when no thread is in `judge` any more. Safe to call twice."""
        self.kill()
        for warden in self._wardens:
            warden.close()
        self._wardens.clear()


def _fault(ran: Ran) -> Outcome | None:
    """What was wrong with a run, whatever it printed."""
    if ran.why == "broken":
        return Outcome("checker_error", f"the sandbox broke: {ran.error}")
    if ran.why in ("wall", "cpu"):
        return Outcome("timeout", f"over its limit of time ({ran.why})")
    if ran.why in ("output", "disk"):
        return Outcome("wrong", f"over its limit of {ran.why}")
    if ran.code == 0:
        return None
    said = ran.stderr.decode(errors="replace").strip().rpartition("\n")[2][:300]
    how = f"killed by signal {-ran.code}" if ran.code < 0 else f"exit code {ran.code}"
    return Outcome("wrong", f"{how}: {said}" if said else how)


def _not_started(message: bytes | Ran) -> Outcome | None:
    """Why a solution takes no calls, if so."""
    if isinstance(message, Ran):
        return _fault(message) or Outcome("wrong", "the program ended before the tests")
    said = _decoded(message)
    if "ready" in said:
        return None
    return Outcome("wrong", str(said.get("failed", "no answer to the tests"))[:300])


def _end_of_tests(message: bytes | Ran) -> Outcome | None:
    """What the tests came to; None: they ask for a call."""
    if isinstance(message, Ran):
        fault = _fault(message)
        return Outcome(
            "checker_error", f"the tests did not report: {fault.detail if fault else 'they ended'}"
        )
    said = _decoded(message)
    if "call" in said:
        return None
    if "passed" in said:
        return Outcome("correct")
    if "failed" in said:
        return Outcome("wrong", str(said["failed"])[:300])
    return Outcome("checker_error", str(said.get("broken", "the tests said nothing"))[:300])


def _decoded(message: bytes) -> dict[str, object]:
    try:
        said = json.loads(message)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


# ── outputs ──────────────────────────────────────────────────────────────────────────────────────

CLOSE = 1e-6  # relative; what problem statements usually allow
_DECIMAL = re.compile(r"[-+]?(?:\d+\.\d*|\.\d+|\d+(?=[eE]))(?:[eE][-+]?\d+)?")
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")


def same_output(found: str, expected: str) -> bool:
    """Whether two outputs have the same words, line ends and spaces aside; a decimal number that is
    expected may be off by `CLOSE`."""
    ours, theirs = found.split(), expected.split()
    if ours == theirs:
        return True
    return len(ours) == len(theirs) and all(
        one == other or _close(one, other) for one, other in zip(ours, theirs, strict=True)
    )


def _close(found: str, expected: str) -> bool:
    if not (_DECIMAL.fullmatch(expected) and _NUMBER.fullmatch(found)):
        return False
    return math.isclose(float(found), float(expected), rel_tol=CLOSE, abs_tol=1e-9)
