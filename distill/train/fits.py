"""Whether a student fits this machine, said before anything is loaded.

    check_fits(card, recipe.train)      # DistillError: what it needs, what is here, which students fit

Arithmetic, not measurement. A parameter takes 16 bytes (fp32: weight 4, gradient 4, Adam's two
moments 8; bf16: weight 2, gradient 2, fp32 master 4, moments 8), split over GPUs by ZeRO. Activations
of one forward pass and its logits come on top, roughly.
"""

import os
from typing import NamedTuple

from distill.cards import Student, load_student, names
from distill.errors import DistillError
from distill.recipe import Train

BYTES_PER_PARAMETER = 16
CPU_FLOPS_PER_CORE = (
    3e10  # measured here in training: 20k tokens/s x 6 x 0.5M parameters is 6e10 on 2 cores
)
LONGEST_STEP_S = 600.0  # a step that takes longer than this on a CPU is a run nobody waits for


class Machine(NamedTuple):
    """What there is to train on."""

    gpus: int
    memory_bytes: int  # of all GPUs together, else of the host
    cores: int


class Need(NamedTuple):
    """What a student takes here."""

    state_bytes: int
    step_s: float  # one optimizer step without a GPU


def machine() -> Machine:
    """GPUs if there are any, else the host's memory."""
    import torch

    cores = len(os.sched_getaffinity(0))
    if torch.cuda.is_available():
        count = torch.cuda.device_count()
        memory = sum(torch.cuda.get_device_properties(i).total_memory for i in range(count))
        return Machine(count, memory, cores)
    return Machine(0, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), cores)


def need(card: Student, train: Train, here: Machine) -> Need:
    """Bytes of weights, gradients and optimizer, and seconds of a step on the CPU."""
    parameters = card.parameters or 0
    seconds = 6 * parameters * train.tokens_per_step / (CPU_FLOPS_PER_CORE * here.cores)
    return Need(parameters * BYTES_PER_PARAMETER, seconds)


def why_not(card: Student, train: Train, here: Machine) -> str | None:
    """Why a student cannot be trained here, None if it can (or its size is unknown)."""
    wants = need(card, train, here)
    # A fifth of the memory stays for activations, logits and everything else that runs.
    if wants.state_bytes > 0.8 * here.memory_bytes:
        what = f"the {here.gpus} GPU(s) have" if here.gpus else "this machine has no GPU and"
        verb = "" if here.gpus else " has"
        return (
            f"{card.parameters:,} parameters x {BYTES_PER_PARAMETER} bytes (weights, gradients, Adam) is "
            f"{gib(wants.state_bytes)} before activations; {what}{verb} {gib(here.memory_bytes)}"
        )
    if not here.gpus and wants.step_s > LONGEST_STEP_S:
        return (
            f"one step of {train.tokens_per_step:,} tokens would take about {hours(wants.step_s)} on these "
            f"{here.cores} CPU cores, and it needs {gib(wants.state_bytes)} for weights, gradients and Adam; "
            "it wants a GPU"
        )
    return None


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
