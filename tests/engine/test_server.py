"""A server as a process: how it fails, what is told of that, and that nothing of it stays.

A program of ours stands in for vLLM. What real vLLM does is in test_vllm_real.py and
test_vllm_faults.py.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from orphans import assert_gone, family, find
from pretended import pretend

from distill.engine.protocol import Served
from distill.engine.server import readable, telling
from distill.engine.vllm import start_server
from distill.errors import DistillError

ROOT = Path(__file__).parent.parent.parent
TINY = Served("tiny", str(ROOT / "teachers/tiny"), context=4096)

SERVES = """
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"data": [{"id": NAME}]}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)
import subprocess
subprocess.Popen(["sleep", "600"], start_new_session=True)
HTTPServer(("127.0.0.1", int(argument("--port"))), Handler).serve_forever()
"""
RIGHT = SERVES.replace("NAME", 'argument("--served-model-name")')
# Deaf to SIGTERM, with a child in a session of its own: the worst that can be met.
SILENT = """
import signal, subprocess, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen(["sleep", "600"], start_new_session=True)
time.sleep(600)
"""
DIES = """
print("(Worker pid=7) ERROR 11-25 12:56:10 [multiproc_executor.py:953] RuntimeError: no weights")
print("RuntimeError: Engine core initialization failed. See root cause above.")
sys.exit(3)
"""


# ── servers that fail ────────────────────────────────────────────────────────────────────────────


def test_a_server_that_dies_at_start_is_one_sentence_with_its_cause_and_log(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pretend(tmp_path, monkeypatch, DIES)
    with pytest.raises(DistillError) as error:
        start_server(TINY, logs=tmp_path / "servers", say=print)
    first, *rest = str(error.value).splitlines()
    assert (
        first == "vLLM ended (exit status 3) before it could serve 'tiny': RuntimeError: no weights"
    )
    assert "  loading" in rest
    log = tmp_path / "servers/tiny.log"
    assert rest[-1] == f"the whole log: {log}" and "root cause" in log.read_text()


def test_a_silent_server_is_given_up_and_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("distill.engine.server.GRACE_S", 0.3)
    pretend(tmp_path, monkeypatch, SILENT)
    said: list[str] = []
    monkeypatch.setattr("distill.engine.server.SAY_EVERY_S", 0.5)
    with pytest.raises(DistillError, match="said nothing for 2 s") as error:
        start_server(TINY, logs=None, say=said.append, silence_s=2)
    assert said[0].startswith("waiting for vLLM to load 'tiny': ")
    log = Path(str(error.value).rpartition("the whole log: ")[2])
    assert "loading" in log.read_text()
    log.unlink()
    assert not family(os.getpid())


def test_a_server_of_another_model_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(tmp_path, monkeypatch, SERVES.replace("NAME", '"other"'))
    with pytest.raises(DistillError, match="serves 'other' where we started 'tiny'"):
        start_server(TINY, logs=None, say=print)
    assert not family(os.getpid())


def test_a_server_says_that_it_died_and_stops_twice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pretend(tmp_path, monkeypatch, RIGHT)
    server = start_server(TINY, logs=tmp_path, say=print)
    server.check()
    there = family(os.getpid())
    assert len(there) == 3  # the keeper, the server, its child
    (program,) = [
        p for p in there if "--served-model-name" in p.command and "keeper" not in p.command
    ]
    os.kill(program.pid, signal.SIGKILL)
    assert_gone(there)
    with pytest.raises(DistillError, match=r"vLLM ended \(SIGKILL\) while it served 'tiny'"):
        server.check()
    server.stop()
    server.stop()
    with pytest.raises(DistillError, match="was stopped"):
        server.check()


ENDINGS = {
    "by itself": (RIGHT, ""),
    "by an exception": (RIGHT, "raise OSError('ours')"),
    "Ctrl-C while it serves": (RIGHT, "input()"),
    "Ctrl-C while it loads": (SILENT, ""),
    "SIGTERM while it loads": (SILENT, ""),
    "SIGKILL while it loads": (SILENT, ""),
    "SIGKILL while it serves": (RIGHT, "input()"),
}
SIGNALS = {"Ctrl-C": signal.SIGINT, "SIGTERM": signal.SIGTERM, "SIGKILL": signal.SIGKILL}
OURS = """
from distill.engine import server, vllm
from distill.engine.protocol import Served
server.GRACE_S = 0.5
vllm.start_server(Served("tiny", {model!r}), logs=None, say=lambda text: print(text, flush=True))
input()
{then}
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("ending", ENDINGS)
def test_no_process_of_the_server_outlives_us(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    behaviour, then = ENDINGS[ending]
    pretend(tmp_path, monkeypatch, behaviour)
    number = next((SIGNALS[word] for word in SIGNALS if ending.startswith(word)), None)
    with subprocess.Popen(
        [sys.executable, "-c", OURS.format(model=TINY.model, then=then)], cwd=ROOT,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as ours:  # fmt: skip
        assert ours.stdout is not None
        ends_by, there = time.monotonic() + 20, family(ours.pid)
        # The keeper, the server and its child, which does not belong to the server's group.
        while not any("sleep" in command for _, _, command in there):
            there = family(ours.pid)
            assert time.monotonic() < ends_by
            time.sleep(0.02)
        assert len(there) == 3
        if behaviour is RIGHT:
            while not ours.stdout.readline().startswith(b"vLLM serves"):
                pass
        if number is not None:
            ours.send_signal(number)
        ours.communicate(b"\n", timeout=30)
    assert_gone(there, within_s=10)


def test_the_harness_sees_a_process_that_stays() -> None:
    child = subprocess.Popen(["sleep", "60"])
    try:
        there = find(child.pid)
        assert there is not None
        with pytest.raises(AssertionError, match="still there"):
            assert_gone({there}, within_s=0.2)
    finally:
        child.kill()
        child.wait()


# ── logs ─────────────────────────────────────────────────────────────────────────────────────────

REAL_LOG = """\
(APIServer pid=1) WARNING 11-25 12:39:00 [system_utils.py:255] can cause errors like `OSError: [Errno 24]`
(EngineCore pid=2) INFO 11-25 12:57:14 [multiproc_executor.py:479] [shutdown] Executor: waiting
(Worker pid=3) ERROR 11-25 12:56:10 [multiproc_executor.py:953]     raise RuntimeError(
(Worker pid=3) ERROR 11-25 12:56:10 [multiproc_executor.py:953] RuntimeError: Cannot find any model weights
(EngineCore pid=2) ERROR 11-25 12:56:12 [core.py:1510] Exception: WorkerProc failed. See root cause.
RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {'EngineCore': 1}
nanobind: leaked 64 types!
 - leaked type "x"
"""
PYDANTIC = """\
    s.__pydantic_validator__.validate_python(ArgsKwargs(args, kwargs), self_instance=s)
pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig
  Value error, max_model_len (9999) is greater than the derived max_model_len
    For further information visit https://errors.pydantic.dev
"""


@pytest.mark.parametrize(
    ("log", "cause"),
    [
        (REAL_LOG, "RuntimeError: Cannot find any model weights"),
        (
            PYDANTIC,
            "pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig "
            "Value error, max_model_len (9999) is greater than the derived max_model_len",
        ),
        ("usage: x\napi_server.py: error: unrecognized arguments: --no\n",
         "api_server.py: error: unrecognized arguments: --no"),
        ("all is well\n", ""),
        ("", ""),
    ],
)  # fmt: skip
def test_the_error_that_came_first_is_told(log: str, cause: str) -> None:
    shown, told = telling(readable(log))
    assert told == cause
    assert not any("nanobind" in line or "leaked" in line for line in shown)
    if cause:
        assert (
            cause.startswith(shown[-1].strip()) or shown[-1].strip() in cause or "pydantic" in log
        )
