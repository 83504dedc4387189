"""The example of plain calls still runs."""

import importlib.util
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parent.parent / "examples" / "by_hand.py"


@pytest.mark.slow
def test_the_pipeline_by_hand_runs_from_problems_to_a_score(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """About 40 s, on few problems: the student learns next to nothing, every call is real."""
    spec = importlib.util.spec_from_file_location("by_hand", EXAMPLE)
    assert spec is not None and spec.loader is not None
    by_hand = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(by_hand)
    value = by_hand.main(count=60, epochs=1)
    said = capsys.readouterr().out
    assert "120 traces" in said and "teacher:" in said and "student:" in said
    assert 0 <= value < 0.5
    assert len(EXAMPLE.read_text().splitlines()) < 130
