"""What the command line loads before it has anything to do."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = [
    "torch",
    "transformers",
    "deepspeed",
    "vllm",
    "sympy",
    "ray",
    "math_verify",
    "datasets",
    "pyarrow",
]

PROBE = """
import json, runpy, sys
sys.argv = ["distill", *{arguments!r}]
code = 0
try:
    runpy.run_module("distill", run_name="__main__")
except SystemExit as end:
    code = end.code
sys.stderr.write(json.dumps([code, sorted(set(sys.modules) & set({heavy!r}))]))
"""


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["train", "--help"], ["eval", "--help"], ["cards"]],
    ids=" ".join,
)
def test_help_and_cards_load_none_of_the_heavy_packages(arguments: list[str]) -> None:
    probe = PROBE.format(arguments=arguments, heavy=HEAVY)
    done = subprocess.run(
        [sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    code, loaded = json.loads(done.stderr.splitlines()[-1])
    assert code in (0, None), done.stdout + done.stderr
    assert loaded == []
