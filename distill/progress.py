"""Progress with an ETA: one steady line in a terminal, a plain line now and then otherwise.

    with Progress("generate", total=8192, unit="traces") as progress:
        progress.update(done, correct="72.1%")

Talk goes to stderr, so that stdout stays data.
"""

import sys
import time
from types import TracebackType

PLAIN_EVERY_S = 10.0
ETA_AFTER_S = 2.0  # before that, the first batch makes it hours


class Progress:
    """Counts work of one stage. ``update`` takes the number done so far and figures to show."""

    def __init__(self, stage: str, total: int, unit: str) -> None:
        self.stage, self.total, self.unit = stage, total, unit
        self.done = 0
        self.figures: dict[str, object] = {}
        self._first: int | None = None  # what a resumed stage had already: no part of its rate
        self._started = time.monotonic()
        self._shown_at = -1e9
        self._terminal = sys.stderr.isatty()

    def update(self, done: int, **figures: object) -> None:
        self.done = done
        if self._first is None:
            self._first, self._started = done, time.monotonic()
        self.figures.update(figures)
        wait = 0.1 if self._terminal else PLAIN_EVERY_S
        if time.monotonic() - self._shown_at >= wait:
            self._show()

    def line(self) -> str:
        """``generate 1,024/8,192 traces  12%  correct 72.1%  0:42 left``."""
        share = f"{self.done / self.total:4.0%}" if self.total else ""
        figures = "  ".join(f"{name} {value}" for name, value in self.figures.items())
        return f"{self.stage} {self.done:,}/{self.total:,} {self.unit} {share}  {figures}  {self._eta()}"

    def _eta(self) -> str:
        spent = time.monotonic() - self._started
        fresh = self.done - (self._first or 0)
        if self.done >= self.total:
            return f"{clock(spent)} taken"
        if not fresh or spent < ETA_AFTER_S:
            return ""
        return f"{clock(spent / fresh * (self.total - self.done))} left"

    def _show(self) -> None:
        self._shown_at = time.monotonic()
        if self._terminal:
            print(f"\r\x1b[2K{self.line()}", end="", file=sys.stderr, flush=True)
        else:
            print(self.line(), file=sys.stderr, flush=True)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:  # fmt: skip
        if self._first is None:  # an error before anything was done: it speaks for itself
            return
        self._show()
        if self._terminal:
            print(file=sys.stderr)


def clock(seconds: float) -> str:
    """``1:02:03`` or ``2:03``."""
    minutes, second = divmod(int(seconds + 0.5), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
