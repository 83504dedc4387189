"""DeepSpeed, set up once: processes, ZeRO stage, precision, optimizer.

    world = join()                              # one process, or those that torchrun started
    engine = start(learner(model), recipe.train, world, accumulation=4, learning_rate=1e-3)

Runs the same on a CPU (gloo, fp32) and on GPUs (nccl, bf16). No operator is compiled: the optimizer is
torch's, also where its state is offloaded to the host (DeepSpeed's own CPU Adam must be compiled first
and is no faster: a step over 20M parameters takes either 26 ms of one core), and DeepSpeed's
shared-memory all-reduce stays off on a CPU (it needs gcc and half a minute at first use, and gains
nothing for a model that a CPU can train).
"""

import contextlib
import os
import sys
import warnings
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from distill.errors import missing_extra
from distill.recipe import Train

if TYPE_CHECKING:
    import torch

NEVER = 1 << 31
# The others wait while the first process tokenises a million traces or digests a checkpoint; torch's
# own 10 minutes on GPUs would end them. A process that died is noticed by whoever started it.
PATIENCE = timedelta(hours=2)


class World(NamedTuple):
    """This process among those that train together."""

    rank: int
    size: int
    device: str

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def wait(self) -> None:
        """Until every process got here."""
        if self.size > 1:
            import torch.distributed as dist

            dist.barrier()

    def sum_and_max(self, summed: float, *flags: bool) -> tuple[float, list[bool]]:
        """A sum over the processes, and for each flag whether any process raised it."""
        if self.size == 1:
            return summed, list(flags)
        import torch
        import torch.distributed as dist

        numbers = torch.tensor(
            [summed, *map(float, flags)], dtype=torch.float64, device=self.device
        )
        dist.all_reduce(numbers)
        return float(numbers[0]), [bool(number > 0) for number in numbers[1:]]


def join() -> World:
    """Join the processes that torchrun started, or be the only one; safe to call again."""
    import torch

    gpu = torch.cuda.is_available()
    if not gpu:
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    os.environ.setdefault("DEEPSPEED_LOG_LEVEL", "error")
    try:
        with hushed():
            import deepspeed

            if not gpu:
                deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    except ImportError:
        raise missing_extra("training", "train") from None
    import torch.distributed as dist

    # DeepSpeed calls torch by names that torch is about to retire: nothing a user could change.
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"torch\.distributed")
    rank, size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    local = int(os.environ.setdefault("LOCAL_RANK", "0"))
    if gpu:
        torch.cuda.set_device(local)
    if not dist.is_initialized():
        backend = "nccl" if gpu else "gloo"
        if size > 1:
            dist.init_process_group(backend, timeout=PATIENCE)
        else:
            store = dist.HashStore()  # type: ignore[attr-defined]
            dist.init_process_group(backend, store=store, rank=0, world_size=1)
    deepspeed.init_distributed(dist_backend="nccl" if gpu else "gloo", verbose=False)
    return World(rank, size, f"cuda:{local}" if gpu else "cpu")


@contextlib.contextmanager
def hushed() -> Iterator[None]:
    """Nothing on the process's own stderr: importing DeepSpeed probes for libraries with the linker,
    which complains there about each that it does not find."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def precision(train: Train, device: str) -> "torch.dtype":
    """fp32 on a CPU and bf16 on a GPU, unless the recipe says otherwise."""
    import torch

    if train.dtype == "auto":
        return torch.float32 if device == "cpu" else torch.bfloat16
    return torch.float32 if train.dtype == "fp32" else torch.bfloat16


def settings(train: Train, *, accumulation: int, device: str) -> dict[str, Any]:
    """DeepSpeed's configuration for a recipe."""
    import torch

    gpu = device != "cpu"
    host = {"device": "cpu", "pin_memory": gpu}
    offload: dict[str, Any] = {}
    if train.offload != "none":
        offload["offload_optimizer"] = host
    if train.offload == "all":
        offload["offload_param"] = host
    return {
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": accumulation,
        "gradient_clipping": train.clip,
        "zero_optimization": {
            "stage": train.zero,
            "overlap_comm": gpu,
            "contiguous_gradients": gpu,
            **offload,
        },
        "bf16": {"enabled": precision(train, device) == torch.bfloat16},
        "zero_force_ds_cpu_optimizer": False,
        "steps_per_print": NEVER,
    }


def start(
    module: "torch.nn.Module",
    train: Train,
    world: World,
    *,
    accumulation: int,
    learning_rate: float,
) -> Any:
    """The DeepSpeed engine over a module (`loss.learner`)."""
    import deepspeed
    import torch

    matrices = [p for p in module.parameters() if p.dim() > 1]
    vectors = [p for p in module.parameters() if p.dim() <= 1]  # biases and norms do not decay
    groups = [{"params": matrices, "weight_decay": train.weight_decay}]
    if vectors:
        groups.append({"params": vectors, "weight_decay": 0.0})
    optimizer = torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, train.beta2), fused=True)
    engine, *_ = deepspeed.initialize(
        model=module,
        optimizer=optimizer,
        config=settings(train, accumulation=accumulation, device=world.device),
        dist_init_required=False,
    )
    if train.zero == 0:
        # In bf16 DeepSpeed has tried a step without gradients, which Adam would count: its first true
        # step would then be 0.73 of the learning rate.
        optimizer.state.clear()
    return engine


class _Zero3:
    """What transformers asks before it makes a model: whether, and how, to partition it."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config

    def is_zero3(self) -> bool:
        return True


@contextlib.contextmanager
def partitioned(train: Train, world: World) -> Iterator[None]:
    """Under ZeRO-3, models loaded inside are spread over the processes weight by weight as they are
    made, so that no process ever holds a whole one."""
    if train.zero < 3:
        yield
        return
    from transformers.integrations import deepspeed as integration

    asked = _Zero3(settings(train, accumulation=1, device=world.device))
    integration.set_hf_deepspeed_config(asked)
    try:
        yield
    finally:
        integration.unset_hf_deepspeed_config()


@contextlib.contextmanager
def gathered(parameter: "torch.Tensor") -> Iterator[None]:
    """One parameter with all its numbers, in every process (ZeRO-3 spreads them); all call it."""
    if not hasattr(parameter, "ds_id"):
        yield
        return
    import deepspeed

    with deepspeed.zero.GatheredParameters([parameter]):
        yield


def count(parameter: "torch.Tensor") -> int:
    """How many numbers a parameter has, wherever they are."""
    return int(getattr(parameter, "ds_numel", parameter.numel()))


def gradient_norm(engine: Any) -> float:
    """The global norm before clipping, before the step (ZeRO-0 in fp32: DeepSpeed keeps none)."""
    import torch

    gradients = [p.grad for p in engine.module.parameters() if p.grad is not None]
    return float(torch.nn.utils.get_total_norm(gradients))


def talk(text: str, world: World) -> None:
    """One line for people, from one process, on stderr."""
    if world.leads:
        print(text, file=sys.stderr, flush=True)
