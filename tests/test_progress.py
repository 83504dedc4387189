"""The live line: counts, figures, and an ETA that leaves out what a resumed stage had before."""

import pytest

from distill import progress as module
from distill.progress import Progress, clock


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (61, "1:01"), (3723, "1:02:03")]
)
def test_a_duration_reads_like_a_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_the_eta_counts_only_what_this_process_did(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    progress = Progress("generate", 1000, "traces")
    progress.update(500)  # what was there before
    now[0] += 10
    progress.update(600, correct="50.0%")
    assert "600/1,000 traces" in progress.line() and "correct 50.0%" in progress.line()
    assert progress.line().endswith("0:40 left")


def test_there_is_no_eta_before_there_is_a_rate_and_the_end_says_what_it_took(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    with Progress("filter", 10, "traces") as progress:
        progress.update(0)
        now[0] = 1.0
        progress.update(1)
        assert "left" not in progress.line()
        now[0] = 5.0
        progress.update(10)
    out = capsys.readouterr()
    assert out.out == "" and out.err.rstrip().endswith("0:05 taken")
