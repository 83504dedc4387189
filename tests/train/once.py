"""Train students, one after another: what torchrun starts in the tests of several processes.

torchrun --nproc-per-node 2 tests/train/once.py RUN STUDENT [RUN STUDENT]...
"""

import sys
from pathlib import Path

from distill.run import open_run
from distill.train.loop import train

if __name__ == "__main__":
    for folder, student in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
        train(open_run(Path(folder)), student)
