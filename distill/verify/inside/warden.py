"""The process inside the sandbox that starts programs: one fork, with namespaces of its own, for each.

    warden   waits on stdin; when a job comes, forks, and knows nothing of it
    keeper   reads the job, leaves into new namespaces, forks, carries data, keeps the limits, ends it all
    program  reads its own job's data, gives up every right, runs (`distill.verify.inside.program`)

The warden has the usual modules imported, so a program starts in milliseconds. Since only the keeper
reads a job, no program's memory holds anything of another. Frames in and out of stdin and stdout: one
letter, four bytes of length, that many bytes.

    in   J job (JSON)   I its standard input   D data for the program   X stop now
    out  H hello (JSON)   R it starts   D data from the program   O S its stdout, stderr   E end (JSON)

A program's words are only ever the content of a frame.
"""

import contextlib
import gc
import json
import os
import select
import shutil

from distill.verify.inside import confine, prelude
from distill.verify.inside.keeper import Rules, end_children, keep, leave, write_frame


def main(text: str) -> None:
    """Say what this kernel allows, then serve jobs until stdin ends."""
    rules = Rules(**json.loads(text))
    confine.prctl(confine.PR_SET_CHILD_SUBREAPER, 1)
    if rules.nobody:
        confine.become_nobody()
    confine.prctl(confine.PR_SET_DUMPABLE, 0)  # no program looks into us, not even by /proc
    os.umask(0o077)
    os.makedirs(f"{rules.box}/tmp", exist_ok=True)
    os.environ.clear()
    prelude.prepare(rules.packages)
    landlock = confine.landlock_version() if rules.confined else 0
    proc = os.open("/proc", os.O_PATH)
    refused = _try_namespaces(rules, proc) if rules.confined else "not wanted"
    rulesets = {}
    if landlock:
        readable = [*rules.readable, *rules.packages.values()]
        rulesets["python"] = confine.make_ruleset(readable, [rules.box])
        rulesets["command"] = confine.make_ruleset([*readable, *rules.system], [rules.box])
    hello = {
        "namespaces": refused is None,
        "why": refused,
        "landlock": landlock,
        "pid": os.getpid(),
    }
    write_frame(1, b"H", json.dumps(hello).encode())
    for processes in (False, True):
        if confine.KNOWN:
            confine.call_filter(processes, 1)
    gc.disable()
    gc.freeze()
    poll = select.poll()
    poll.register(0, select.POLLIN)
    while poll.poll():
        done, told = os.pipe()
        if os.fork() == 0:
            leave(_keep, told, rules, proc, refused is None, rulesets)
        os.close(told)
        # Not its end: the kernel takes 5 ms to take namespaces apart, and the next run need not wait.
        code = os.read(done, 1)
        os.close(done)
        _reap()
        if code != b"0" or rules.private:
            break  # stdin ended, or the keeper broke: whoever asked sees our end
    end_children()
    shutil.rmtree(rules.box, ignore_errors=True)


def _keep(told: int, rules: Rules, proc: int, namespaces: bool, rulesets: dict[str, int]) -> None:
    code = keep(rules, proc, namespaces, rulesets)
    os.write(told, str(code).encode())


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass


def _try_namespaces(rules: Rules, proc: int) -> str | None:
    """Why there are none, if so."""
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        said = ""
        try:
            confine.prctl(confine.PR_SET_DUMPABLE, 1)
            confine.count_as_nobody()
            confine.enter_namespaces(f"{rules.box}/tmp", proc, 1, rules.read_only)
            if os.fork() == 0:
                os._exit(0)
        except OSError as error:
            said = str(error)
        os.write(into, said.encode())
        os._exit(0)
    os.close(into)
    with open(out, "rb") as pipe:
        said = pipe.read().decode()
    os.waitpid(child, 0)
    return said or None
