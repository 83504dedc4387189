"""Whether a student fits this machine, said before anything is loaded.

    check_fits(card, recipe.train)      # DistillError: what it needs, what is here, which students fit

Arithmetic, not measurement. A parameter takes 16 bytes (fp32: weight 4, gradient 4, Adam's two
moments 8; bf16: weight 2, gradient 2, fp32 master and moments 12), which ZeRO splits over the processes
and offload moves to the host. Activations of one forward pass and its logits come on top, roughly.
"""

import os
from typing import NamedTuple

import msgspec

from distill.cards import Student, load_student, names
from distill.errors import DistillError
from distill.recipe import Train

CPU_FLOPS_PER_CORE = (
    3e10  # measured here in training: 20k tokens/s x 6 x 0.5M parameters is 6e10 on 2 cores
)
LONGEST_STEP_S = 600.0  # a step that takes longer than this on a CPU is a run nobody waits for
USABLE = 0.8  # a fifth of the memory stays for activations, logits and everything else that runs


class Machine(NamedTuple):
    """What there is to train on."""

    gpus: int
    memory_bytes: int  # of all GPUs together, else of the host
    cores: int
    host_bytes: int = 0  # where there are GPUs: of the host


class Memory(NamedTuple):
    """Bytes of weights, gradients and optimizer in one process."""

    device: float
    host: float  # what offload moved there


def machine() -> Machine:
    """GPUs if there are any, else the host's memory."""
    import torch

    cores = len(os.sched_getaffinity(0))
    host = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if torch.cuda.is_available():
        count = torch.cuda.device_count()
        memory = sum(torch.cuda.get_device_properties(i).total_memory for i in range(count))
        return Machine(count, memory, cores, host)
    return Machine(0, host, cores)


def memory_of(parameters: int, train: Train, *, processes: int, half: bool) -> Memory:
    """What each of so many processes holds; ``half``: the weights are bf16."""
    weights, gradients, adam = (2, 2, 12) if half else (4, 4, 8)
    share = 1 / processes
    weights_here = weights * (share if train.zero == 3 else 1)
    gradients_here = gradients * (share if train.zero >= 2 else 1)
    adam_here = adam * (share if train.zero >= 1 else 1)
    device, host = weights_here + gradients_here + adam_here, 0.0
    if train.offload != "none":  # the host also takes each gradient in fp32, for Adam to read
        device, host = device - adam_here, adam_here + 4 * share
    if train.offload == "all":
        device, host = device - weights_here, host + weights_here
    return Memory(parameters * device, parameters * host)


def why_not(card: Student, train: Train, here: Machine) -> str | None:
    """Why a student cannot be trained here, None if it can (or its size is unknown)."""
    if card.parameters is None:
        return None
    if here.gpus:
        return _not_on_gpus(card.parameters, train, here)
    memory = memory_of(card.parameters, train, processes=1, half=train.dtype == "bf16")
    total = gib(memory.device + memory.host)
    if memory.device + memory.host > USABLE * here.memory_bytes:
        return (
            f"{card.parameters:,} parameters with gradients and Adam are {total} before activations; "
            f"this machine has no GPU and {gib(here.memory_bytes)}"
        )
    step_s = 6 * card.parameters * train.tokens_per_step / (CPU_FLOPS_PER_CORE * here.cores)
    if step_s > LONGEST_STEP_S:
        return (
            f"one step of {train.tokens_per_step:,} tokens would take about {hours(step_s)} on these "
            f"{here.cores} CPU cores, and it needs {total} for weights, gradients and Adam; "
            "it wants a GPU"
        )
    return None


def _not_on_gpus(parameters: int, train: Train, here: Machine) -> str | None:
    """Why not with these settings, and which would do."""
    if _fits_gpus(parameters, train, here):
        return None
    memory = memory_of(parameters, train, processes=here.gpus, half=train.dtype != "fp32")
    on_host = f" and {gib(here.gpus * memory.host)} on the host" if memory.host else ""
    reason = (
        f"{parameters:,} parameters with gradients and Adam are {gib(memory.device)} a GPU{on_host} "
        f"before activations (zero: {train.zero}, offload: {train.offload}); "
        f"{here.gpus} GPU(s) have {gib(here.memory_bytes / here.gpus)} each, the host {gib(here.host_bytes)}"
    )
    for offload in ("none", "optimizer", "all"):
        other = msgspec.structs.replace(train, zero=3, offload=offload)
        if _fits_gpus(parameters, other, here):
            return f"{reason}; with 'zero: 3' and 'offload: {offload}' it would fit"
    return reason


def _fits_gpus(parameters: int, train: Train, here: Machine) -> bool:
    memory = memory_of(parameters, train, processes=here.gpus, half=train.dtype != "fp32")
    on_gpus = memory.device * here.gpus <= USABLE * here.memory_bytes
    return on_gpus and memory.host * here.gpus <= USABLE * here.host_bytes


def check_fits(card: Student, train: Train, here: Machine | None = None) -> None:
    """Raise a `DistillError` that says what the student would need and which students fit here."""
    here = here or machine()
    reason = why_not(card, train, here)
    if reason is None:
        return
    others = [
        name for name in names("students") if why_not(load_student(name), train, here) is None
    ]
    fitting = (
        f"students that fit here: {', '.join(others)}" if others else "no shipped student fits here"
    )
    raise DistillError(f"student '{card.name}' does not fit this machine: {reason}; {fitting}")


def gib(count: float) -> str:
    return f"{count / 2**30:.1f} GiB"


def hours(seconds: float) -> str:
    return f"{seconds / 3600:.1f} hours" if seconds >= 3600 else f"{seconds / 60:.0f} minutes"
