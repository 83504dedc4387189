"""Train students of a run folder: what torchrun starts in the tests of several processes.

torchrun --nproc-per-node 2 tests/train/once.py RUN STUDENT...
"""

import sys
from pathlib import Path

from distill.run import open_run
from distill.train.loop import train

if __name__ == "__main__":
    for student in sys.argv[2:]:
        train(open_run(Path(sys.argv[1])), student)
