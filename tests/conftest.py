"""What every test shares: offline, one thread, real data where it is, and no silent skips."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

ROOT = Path(__file__).parent.parent
FULL = "DISTILL_FULL" in os.environ  # `make proof`: full counts; else CI's 40 minutes must do

_unexpected: list[str] = []


def needs(thing: str, why: str) -> None:
    """Skip the running test for something this machine lacks; `DISTILL_MAY_LACK` excuses it."""
    pytest.skip(f"needs {thing}: {why}")


@pytest.fixture
def real_data() -> Path:
    """The folder of real problem and trace files that a few tests read where it exists."""
    folder = os.environ.get("DISTILL_TEST_DATA", "")
    if not folder or not Path(folder).is_dir():
        needs("data", "set DISTILL_TEST_DATA to the folder of real problem and trace files")
    return Path(folder)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") and not list(Path("/dev").glob("nvidia[0-9]*")):
        needs("gpu", "there is no NVIDIA GPU")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> Iterator[None]:
    """Note every skip that `DISTILL_MAY_LACK` does not excuse (unset: all are excused)."""
    yield
    excused = os.environ.get("DISTILL_MAY_LACK")
    if excused is None or not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    allowed = tuple(f"Skipped: needs {thing}:" for thing in excused.split(",") if thing)
    if not (allowed and reason.startswith(allowed)):
        _unexpected.append(f"{report.nodeid}: {reason}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in _unexpected:
        terminalreporter.write_line(f"not run, and that was not expected: {line}", red=True)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _unexpected and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
