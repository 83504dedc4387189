"""Start one training process per GPU by torchrun, and end as it ends.

    if must_launch(processes): launch(run, "qwen-7b", processes)

One machine. More are started by the user's own ``torchrun -m distill train`` on each.
"""

import os
import signal
import subprocess
import sys

from distill.children import stop_with_us
from distill.errors import DistillError
from distill.run import Run


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
    """Run ``torchrun -m distill train`` to its end; Ctrl-C reaches every process and is waited for."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone",
               "--nproc-per-node", str(count(processes)), "-m", "distill",
               "train", "--run", str(run.path), "--student", student]  # fmt: skip
    child = subprocess.Popen(command, preexec_fn=stop_with_us())
    try:
        code = child.wait()
    except KeyboardInterrupt:
        child.send_signal(signal.SIGINT)
        child.wait()
        raise
    if code:
        raise DistillError(
            f"training stopped with exit code {code} (its own message stands above); "
            "the same command continues"
        )
