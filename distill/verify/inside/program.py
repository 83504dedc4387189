"""What runs inside the sandbox in the place of a program: a model's code, the tests of it, or a command.

    stdin     the code is the main program: reads descriptor 0, writes 1
    calls     the code is a module; its `entry` is called for each request on 3, answered on 4
    check     the tests: `check(candidate)`, where each call of the candidate is a request on 4, answered on 3
    command   files and a command, for other languages

`calls` and `check` run in two sandboxes that meet only in `distill.verify.code`, which passes plain data
between them. So the tests, with all that they expect, and the code never share a process.
"""

import atexit
import os
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

from distill.verify.inside import plain
from distill.verify.inside.messages import receive, said, send
from distill.verify.inside.prelude import MAIN, SOLUTION, new_module
from distill.verify.inside.proxy import run_tests


class Job(NamedTuple):
    """One run: what, and its limits."""

    mode: str
    code: str = ""
    entry: str = ""
    files: dict[str, str] = {}
    command: list[str] = []
    cpu_s: int = 10
    wall_s: float = 20.0
    memory_mib: int = 1024
    tmp_mib: int = 64
    file_mib: int = 16
    output_mib: int = 16
    processes: int = 64


# ── in the program's process ─────────────────────────────────────────────────────────────────────


def run(job: Job, told: int) -> NoReturn:
    """Be the program. ``told`` is closed when it starts; what cannot even start is said there."""
    sys.argv = ["solution.py"]
    if job.mode == "command":
        code = _command(job, told)
    else:
        os.close(told)
        _open_streams()
        if job.mode == "stdin":
            code = _finish(_main, job)
        elif job.mode == "calls":
            code = _finish(_serve_calls, job)
        else:
            code = _finish(lambda job: run_tests(job.code), job)
    os._exit(code)


def _open_streams() -> None:
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        errors = (
            "surrogateescape" if number == 0 else "backslashreplace" if number == 2 else "strict"
        )
        stream = open(number, mode, encoding="utf-8", errors=errors, closefd=False)  # noqa: SIM115
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _finish(body: Callable[[Job], None], job: Job) -> int:
    """Run to the end as the interpreter does: threads joined, exit functions called, streams flushed."""
    code = 0
    try:
        try:
            body(job)
        finally:
            threading._shutdown()  # type: ignore[attr-defined]
            atexit._run_exitfuncs()
    except SystemExit as end:
        code = _exit_code(end)
    except BaseException:  # noqa: BLE001  (the interpreter's own last resort)
        traceback.print_exc(limit=-8)
        code = 1
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            code = code or 120  # the interpreter's own code for it
    return code


def _exit_code(end: SystemExit) -> int:
    if end.code is None:
        return 0
    if isinstance(end.code, int):
        return end.code & 0xFF
    print(end.code, file=sys.stderr)
    return 1


def _main(job: Job) -> None:
    exec(compile(job.code, "solution.py", "exec"), new_module(MAIN, None))


# ── calls of a solution ──────────────────────────────────────────────────────────────────────────


def _serve_calls(job: Job) -> None:
    namespace = new_module(SOLUTION, "preamble")
    try:
        exec(compile(job.code, "solution.py", "exec"), namespace)
        candidate = _entry(job.entry, namespace)
    except Exception as error:  # noqa: BLE001  (whatever the code does)
        send({"failed": said(error)})
        return
    send({"ready": True})
    while True:
        send(_answer(candidate, receive()["call"], namespace))


def _entry(entry: str, namespace: dict[str, Any]) -> Callable[..., object]:
    """``twice``, or ``Solution().twice`` of one object that all calls share."""
    owner, _, method = entry.rpartition("().")
    name = owner or method
    if name not in namespace:
        raise NameError(f"it defines no '{name}'")
    found = getattr(namespace[name](), method) if owner else namespace[name]
    if not callable(found):
        raise TypeError(f"'{entry}' is not callable")
    result: Callable[..., object] = found
    return result


def _answer(
    candidate: Callable[..., object], call: str, namespace: dict[str, Any]
) -> dict[str, object]:
    """What a call gave, and how it left its arguments where it returned nothing (sorting in place, say)."""
    classes = {name: value for name, value in namespace.items() if isinstance(value, type)}
    own = {name: kind for name, kind in classes.items() if kind.__module__ != "builtins"}
    args, kwargs = plain.unpack(call, own, invent=True)
    try:
        value = candidate(*args, **kwargs)
        answer: dict[str, object] = {"value": plain.pack(value)}
        if value is None:
            answer["after"] = plain.pack((args, kwargs))
        return answer
    except Exception as error:  # noqa: BLE001  (whatever the code does)
        name = type(error).__name__
        return {"raised": name, "said": said(error).removeprefix(f"{name}: ")}


# ── other languages ──────────────────────────────────────────────────────────────────────────────

_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}


def _command(job: Job, told: int) -> int:
    """Write the files, start the command, wait: as the first process of the namespace we end, all does."""
    try:
        for path, text in job.files.items():
            os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
            with open(path, "w", encoding="utf-8", errors="replace") as file:
                file.write(text)
        here = os.getcwd()
        environment = {**_ENVIRONMENT, "HOME": here, "TMPDIR": here}
        child = os.fork()
    except OSError as error:
        os.write(told, f"cannot write the files: {error}".encode())
        return 71
    if child == 0:
        try:
            os.execvpe(job.command[0], job.command, environment)
        except (OSError, ValueError) as error:
            os.write(told, f"cannot run '{job.command[0]}': {error}".encode())
            os._exit(127)
    os.close(told)
    while True:
        ended, status = os.wait()
        if ended == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
