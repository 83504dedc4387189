"""A server of ours as a process: started under a keeper, waited for, read when it fails, stopped.

    server = start(command, environment, name="tiny", host="127.0.0.1", port=8000, log=Path("tiny.log"))
    server.wait_until_ready(say=print)
    server.url                 # "http://127.0.0.1:8000/v1"
    server.check()             # raises, with what its log says, once it has ended
    server.stop()

Which server it is, and with which arguments, is the caller's business (`vllm.py`). It does not outlive
this process, whatever ends that (`keeper.py`).
"""

import atexit
import contextlib
import http.client
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from distill.engine.key import Key
from distill.engine.probe import list_models
from distill.errors import DistillError

Say = Callable[[str], object]

GRACE_S = 10.0  # from SIGTERM to SIGKILL; vLLM takes 0.4 s when nothing is open
# Loading 700 GB from a network disk takes an hour, so that time alone says nothing: a silent log does.
SILENCE_S = 1800.0
SAY_EVERY_S = 15.0
LOOK_EVERY_S = 0.2
LAST_LINES = 15
# To be asked at: addresses to listen on that are none to connect to.
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}
READ_BYTES = 256 * 1024  # of the log's end; vLLM prints some 30 KB of tracebacks when it fails


class Server:
    """``log`` is None where its output goes to our stderr. ``temporary``: nobody asked for the log, so
    that it goes when the server is stopped while it runs."""

    def __init__(
        self, process: "subprocess.Popen[bytes]", name: str, host: str, port: int,
        log: Path | None, temporary: bool, silence_s: float,
    ) -> None:  # fmt: skip
        self.name = name
        host = EVERYWHERE.get(host, host)
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}/v1"
        self.log = log
        self._process, self._host, self._port = process, host, port
        self._log_start = log.stat().st_size if log else 0
        self._temporary, self._silence_s = temporary, silence_s
        self._ready = self._stopped = False
        self._owner = os.getpid()
        atexit.register(self.stop)

    def check(self) -> None:
        """Raises `DistillError` with the log's end once the server has ended."""
        if self._stopped:
            raise DistillError(f"the server of '{self.name}' was stopped")
        code = self._process.poll()
        if code is None:
            return
        self._temporary = False
        when = "while it served" if self._ready else "before it could serve"
        raise DistillError(f"vLLM ended ({_status(code)}) {when} '{self.name}'{self._why(code)}")

    def wait_until_ready(self, say: Say, key: Key) -> None:
        """Returns when the server is healthy and lists the model; there is no limit on the time but
        `SILENCE_S` without a word in its log."""
        started = said = heard = time.monotonic()
        size = self._log_start
        while not self._healthy():
            self.check()
            now = time.monotonic()
            if self.log is not None:
                grown, size = self.log.stat().st_size > size, self.log.stat().st_size
                heard = now if grown else heard
                if now - heard > self._silence_s:
                    raise DistillError(
                        f"vLLM has said nothing for {now - heard:,.0f} s and does not serve "
                        f"'{self.name}' yet{self._why(None)}"
                    )
            if now - said >= SAY_EVERY_S:
                say(f"waiting for vLLM to load '{self.name}': {now - started:,.0f} s")
                said = now
            time.sleep(LOOK_EVERY_S)
        self.check()  # something else may have been healthy at this port
        ids = [listed.id for listed in list_models(self.url, key, f"the card of '{self.name}'")]
        if self.name not in ids:
            raise DistillError(
                f"{self.url} serves {', '.join(map(repr, ids)) or 'nothing'} where we started "
                f"'{self.name}': another server has that port; give the command again"
            )
        self._ready = True
        where = f" (log: {self.log})" if self.log and not self._temporary else ""
        say(
            f"vLLM serves '{self.name}' at {self.url} after {time.monotonic() - started:.0f} s{where}"
        )

    def stop(self) -> None:
        """End the server and all of its processes. Safe to call twice."""
        if self._stopped or os.getpid() != self._owner:
            return
        running = self._process.poll() is None
        if self._process.stdin is not None:
            self._process.stdin.close()  # the keeper's sign
        try:
            self._process.wait(GRACE_S + 5)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        # Not before: an impatient second Ctrl-C ends the wait above, and atexit waits again.
        self._stopped = True
        atexit.unregister(self.stop)
        if self._temporary and running and self.log is not None:
            self.log.unlink(missing_ok=True)

    def _healthy(self) -> bool:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=5)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _why(self, code: int | None) -> str:
        """What the log says, for the end of a message."""
        if self.log is None:
            return ": see its log above"
        with self.log.open("rb") as file:
            file.seek(max(self._log_start, file.seek(0, os.SEEK_END) - READ_BYTES))
            lines = readable(file.read().decode("utf-8", errors="replace"))
        self._temporary = False
        shown, cause = telling(lines)
        said = f": {cause}" if cause else ""
        tail = "".join(f"\n  {line}" for line in shown)
        return f"{said}{tail}\nthe whole log: {self.log}"


def start(
    command: Sequence[str], environment: Mapping[str, str], *, name: str, host: str, port: int,
    log: Path | None, temporary: bool = False, silence_s: float = SILENCE_S,
) -> Server:  # fmt: skip
    """Start a command that will serve ``name``; it is neither ready nor even alive for sure yet."""
    keeper = str(Path(__file__).with_name("keeper.py"))
    with contextlib.ExitStack() as stack:
        # Standard output and errors in one file, which a later server of that name adds to.
        out = stack.enter_context(log.open("ab")) if log else sys.stderr.fileno()
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", keeper, str(GRACE_S), *command],
            stdin=subprocess.PIPE, stdout=out, stderr=out, env=dict(environment),
            start_new_session=True,  # Ctrl-C is for us: what is open is finished first
        )  # fmt: skip
        return Server(process, name, host, port, log, temporary, silence_s)


def _status(code: int) -> str:
    if code > 128:
        with contextlib.suppress(ValueError):
            return signal.Signals(code - 128).name
    return f"exit status {code}"


# ── reading a log ────────────────────────────────────────────────────────────────────────────────

# "(EngineCore pid=9) ERROR 11-25 12:39:06 [core.py:133] " before each line, and colours.
_PREFIX = re.compile(r"^(\(\w+ pid=\d+\) )?([A-Z]+ \d\d-\d\d \d\d:\d\d:\d\d \[[^\]]*\] ?)?")
_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
# Printed by libraries at exit, after what matters.
_NOISE = re.compile(
    r"nanobind: |See https://nanobind| - (leaked|\.\.\. skipped)|\s*warnings\.warn\("
)
_ERROR = re.compile(r"^([A-Za-z_][\w.]*(Error|Exception)|\S+: error)\b(: .*)?$")
# vLLM's processes report each other's ends; the first to fail said why.
_SECOND_HAND = re.compile(r"root cause|initialization failed|EngineDeadError|died unexpectedly")


def readable(text: str) -> list[str]:
    """The lines of a log without their prefixes, colours and what libraries print at exit."""
    lines = (_PREFIX.sub("", _COLOUR.sub("", line)).rstrip() for line in re.split(r"[\r\n]+", text))
    return [line for line in lines if line and not _NOISE.match(line)]


def telling(lines: list[str]) -> tuple[list[str], str]:
    """The lines to show, and the error that ended it all ("" where none can be told)."""
    errors = [place for place, line in enumerate(lines) if _ERROR.match(line)]
    firsts = [place for place in errors if not _SECOND_HAND.search(lines[place])]
    if not (firsts or errors):
        return lines[-LAST_LINES:], ""
    place = (firsts or errors)[-1]
    end = place + 1
    while end < len(lines) and lines[end].startswith("  ") and end - place < 4:
        end += 1  # pydantic says what is wrong on the lines below its error
    cause = " ".join(line.strip() for line in lines[place : min(end, place + 2)])
    return lines[max(0, end - LAST_LINES) : end], cause[:500]
