"""Train in several processes of this machine, and end as they end.

    if must_launch(processes): launch(run, "qwen-7b", processes)

Each process is what torchrun would start (``RANK``, ``WORLD_SIZE``, ...), and several machines are the
user's own ``torchrun -m distill train``. Here torchrun would kill a process that writes its checkpoint
30 s after Ctrl-C, and print a traceback of its own under a user's mistake.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from distill.children import stop_with_us, this_python
from distill.errors import DistillError
from distill.recipe import Recipe
from distill.run import Run

_GRACE_S = (
    10.0  # for the others to fail of the same cause; then they wait for the dead one for ever
)


class Child(NamedTuple):
    """One training process. Only the first one talks to the terminal, the others to ``log``."""

    process: "subprocess.Popen[bytes]"
    mistake: Path  # the user's mistake in one sentence, where there was one
    log: Path


def count(processes: int | None) -> int:
    """How many processes train: what was asked for, else one per GPU, else one."""
    if processes is not None:
        if processes < 1:
            raise DistillError(f"{processes} processes cannot train; name 1 or more")
        return processes
    import torch

    return max(1, torch.cuda.device_count())


def must_launch(processes: int | None) -> bool:
    """Whether this process should start others rather than train."""
    return "RANK" not in os.environ and count(processes) > 1


def launch(run: Run, student: str, processes: int | None) -> None:
    """Train to the end; raises the mistake of the first process that failed.

    Ctrl-C is passed on once and waited for: the processes finish their step and save it. A second one
    kills them.
    """
    number = count(processes)
    with tempfile.TemporaryDirectory() as talk:
        children = start(run, student, number, Path(talk))
        try:
            failed = wait(children)
        except KeyboardInterrupt:
            for child in children:
                child.process.send_signal(signal.SIGINT)
            for child in children:
                child.process.wait()
            raise
        finally:
            for child in children:
                child.process.kill()
                child.process.wait()
        if failed is not None:
            raise why(children.index(failed), failed)


def start(run: Run, student: str, number: int, talk: Path) -> list[Child]:
    """The processes, each in a session of its own: a terminal's Ctrl-C reaches them through us."""
    recipe = talk / "recipe.json"
    recipe.write_bytes(msgspec.json.encode(run.recipe))
    command = [*this_python(), "-m", "distill.train.launch", str(run.path), str(recipe), student]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    cores = len(os.sched_getaffinity(0))
    common = {"OMP_NUM_THREADS": str(max(1, cores // number)), **os.environ}
    common |= {"WORLD_SIZE": str(number), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    children = []
    for rank in range(number):
        log, mistake = talk / f"{rank}.log", talk / f"{rank}.mistake"
        own = {"RANK": str(rank), "LOCAL_RANK": str(rank)}
        with log.open("wb") as file:
            out = None if rank == 0 else file
            process = subprocess.Popen(
                [*command, str(mistake)], env=common | own, stdout=out, stderr=out,
                start_new_session=True, preexec_fn=stop_with_us(),
            )  # fmt: skip
        children.append(Child(process, mistake, log))
    return children


def wait(children: Sequence[Child]) -> Child | None:
    """Until all are done, or one failed and the others had their time to; the one that failed.

    One process's end soon ends the others by a lost connection, so what was killed, or met a user's
    mistake, is named before what merely broke.
    """
    deadline = float("inf")
    while any(child.process.poll() is None for child in children) and time.monotonic() < deadline:
        time.sleep(0.1)
        if deadline == float("inf") and any(child.process.returncode for child in children):
            deadline = time.monotonic() + _GRACE_S
    failed = [child for child in children if child.process.returncode]
    failed.sort(key=lambda child: (child.process.returncode > 0, child.process.returncode != 2))
    return failed[0] if failed else None


def why(rank: int, child: Child) -> BaseException:
    """What ended a process, as this one would have raised it."""
    code = child.process.returncode
    if code == 130:  # somebody's signal to that process alone: it saved
        return KeyboardInterrupt()
    if code == DistillError.exit_code:
        return DistillError(child.mistake.read_text())
    sys.stderr.write(child.log.read_text(errors="replace")[-4000:])
    ended = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    return DistillError(
        f"training process {rank} failed ({ended}; what it said stands above); "
        "the same command continues"
    )


def main(folder: str, recipe: str, student: str, mistake: str) -> None:
    """What each process runs."""
    from distill.train.loop import train

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    run = Run(Path(folder), msgspec.json.decode(Path(recipe).read_bytes(), type=Recipe))
    try:
        train(run, student)
    except DistillError as error:
        Path(mistake).write_text(str(error))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main(*sys.argv[1:])
