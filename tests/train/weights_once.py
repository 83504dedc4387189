"""One process of two that load a model under ZeRO-3 and export it; prints the memory each step took.

torchrun --nproc-per-node 2 tests/train/weights_once.py MODEL OUT SHARD_BYTES

Prints ``RANK LOADED EXPORTED``: bytes of anonymous memory that loading and exporting took at their
peaks. Pages of the model's file, which the kernel can take back at any time, do not count.
"""

import sys
import threading
import time
from pathlib import Path

import torch
import transformers.models.qwen2.modeling_qwen2  # noqa: F401  (imports are not what is measured)

from distill.cards import Student
from distill.recipe import Train
from distill.train import zero
from distill.train.export import write_weights
from distill.train.student import load


class Peak:
    """The highest anonymous memory of this process since `reset`, looked at every 2 ms."""

    def __init__(self) -> None:
        self.reset()
        threading.Thread(target=self._watch, daemon=True).start()

    def reset(self) -> None:
        self.start = self.highest = anonymous()

    def _watch(self) -> None:
        while True:
            self.highest = max(self.highest, anonymous())
            time.sleep(0.002)

    @property
    def taken(self) -> int:
        return self.highest - self.start


def anonymous() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


if __name__ == "__main__":
    model_folder, out, shard_bytes = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    world, train = zero.join(), Train(zero=3)
    card = Student(name="big", model=model_folder, learning_rate=1e-3, context=4096)
    peak = Peak()
    with zero.partitioned(train, world):
        model = load(model_folder, card, torch.float32)
    loaded = peak.taken
    world.wait()
    peak.reset()
    write_weights(model, out, world, shard_bytes=shard_bytes)
    print(world.rank, loaded, peak.taken, flush=True)
    world.wait()
