"""The example of plain calls still runs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "by_hand.py"


@pytest.mark.slow
def test_the_pipeline_by_hand_runs_from_problems_to_a_score() -> None:
    """About 40 s, on few problems: the student learns next to nothing, every call is real."""
    code = "import by_hand; print('score', by_hand.main(count=60, epochs=1))"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = ['examples', '.']; {code}"],
        cwd=ROOT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "120 traces" in done.stdout and "teacher:" in done.stdout
    (score,) = re.findall(r"^score (\S+)$", done.stdout, re.MULTILINE)
    assert 0 <= float(score) < 0.5
    assert len(EXAMPLE.read_text().splitlines()) < 130
