"""The ledger: where traces and verdicts go the moment they exist, and what a restart reads first.

    with Ledger(run.path, shard="0") as ledger:
        if identity not in ledger.done: ...
        ledger.add_trace(trace)
        ledger.add_verdict(verdict)

Each shard folder has one writer (a lock) and append-only segments of at most ``SEGMENT_ROWS`` traces,
with a verdict segment of the same name beside each. Sealing writes row counts and sha256 of every
segment to ``sealed.json``; a sealed segment is never appended to again.

Memory: 16 bytes of digest and about 60 of Python's set per identity of this shard.
"""

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import msgspec

from distill import jsonl
from distill.traces import read_segment, read_verdicts
from distill.types import Failed, Identity, Trace, Verdict

SEGMENT_ROWS = 50_000


class Ledger:
    """The one writer of a shard. Entering takes the lock and reads what is there: ``traces``,
    ``failed`` and the token counts are of that, not of what is added."""

    def __init__(self, folder: Path, shard: str) -> None:
        self._folder = folder
        self._traces = folder / "traces" / shard
        self._verdicts = folder / "verdicts" / shard
        self._failed = folder / "failed.jsonl"
        self._open: dict[Path, jsonl.Appender] = {}
        self._segment_of: dict[Identity, str] = {}  # traces that wait for their verdict
        self._done: set[bytes] = set()
        self._stack = ExitStack()
        self.traces = self.failed = self.prompt_tokens = self.completion_tokens = 0

    def __enter__(self) -> "Ledger":
        with ExitStack() as held:  # what is there may be damaged: then the lock is free again
            held.enter_context(jsonl.locked(self._traces))
            self._read()
            self._stack = held.pop_all()
        return self

    def _read(self) -> None:
        """Count what is there and find where to go on."""
        self._sealed = self._read_seal()
        for path in sorted(self._traces.glob("*.jsonl")):
            if path.name not in self._sealed:
                jsonl.cut_torn_tail(path)
                jsonl.cut_torn_tail(self._beside(path.name))
            for trace in read_segment(path, Trace):
                self._done.add(digest(trace.identity))
                self.traces += trace.part == 0
                self.prompt_tokens += trace.prompt_tokens
                self.completion_tokens += trace.completion_tokens
        if self._failed.exists():
            jsonl.cut_torn_tail(self._failed)
            failed = [digest(row.identity) for row in jsonl.read(self._failed, Failed)]
            self.failed = len(failed)
            self._done.update(failed)
        self._start_segment()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:  # fmt: skip
        for appender in self._open.values():
            appender.close()
        self._open.clear()
        self._stack.close()

    def __contains__(self, identity: Identity) -> bool:
        """Whether this identity has a trace, or was given up as impossible."""
        return digest(identity) in self._done

    def unjudged(self) -> Iterator[Trace]:
        """Traces that were written but not judged before the last stop."""
        for path in sorted(self._traces.glob("*.jsonl")):
            known = read_verdicts(self._beside(path.name))
            for trace in read_segment(path, Trace):
                if trace.identity not in known:
                    self._segment_of[trace.identity] = path.name
                    yield trace

    def add_trace(self, trace: Trace) -> None:
        if self._rows >= SEGMENT_ROWS:
            self._start_segment()
        self._appender(self._traces / self._segment).append(trace)
        self._rows += 1
        self._done.add(digest(trace.identity))
        self._segment_of[trace.identity] = self._segment

    def add_verdict(self, verdict: Verdict) -> None:
        segment = self._segment_of.pop(verdict.identity)
        self._appender(self._beside(segment)).append(verdict)

    def add_failed(self, failed: Failed) -> None:
        self._appender(self._failed).append(failed)
        self._done.add(digest(failed.identity))

    def sync(self) -> None:
        """Make everything so far survive a power cut."""
        for appender in self._open.values():
            appender.sync()

    def seal(self) -> dict[str, jsonl.Sealed]:
        """Close the segments for good and write what they hold to ``sealed.json``."""
        for appender in self._open.values():
            appender.close()
        self._open.clear()
        for path in sorted(self._traces.glob("*.jsonl")):
            if path.name not in self._sealed:
                self._sealed[path.name] = jsonl.seal(path)
        body = {name: sealed._asdict() for name, sealed in self._sealed.items()}
        jsonl.write_bytes(self._traces / "sealed.json", msgspec.json.encode(body) + b"\n")
        return self._sealed

    def _read_seal(self) -> dict[str, jsonl.Sealed]:
        path = self._traces / "sealed.json"
        if not path.exists():
            return {}
        return {
            name: jsonl.Sealed(seal.rows, seal.sha256)
            for name, seal in jsonl.read_blob(path, dict[str, _Seal]).items()
        }

    def _start_segment(self) -> None:
        """Go on in the last unsealed segment with room, else begin the next."""
        existing = sorted(self._traces.glob("*.jsonl"))
        self._rows = 0
        if existing and existing[-1].name not in self._sealed:
            rows = jsonl.seal(existing[-1]).rows
            if rows < SEGMENT_ROWS:
                self._segment, self._rows = existing[-1].name, rows
                return
        number = int(existing[-1].stem) + 1 if existing else 0
        self._segment = f"{number:06}.jsonl"

    def _beside(self, segment: str) -> Path:
        return self._verdicts / segment

    def _appender(self, path: Path) -> jsonl.Appender:
        if path not in self._open:
            self._open[path] = jsonl.Appender(path)
        return self._open[path]


class _Seal(msgspec.Struct, frozen=True):
    """What ``sealed.json`` says of one segment."""

    rows: int
    sha256: str


def digest(identity: Identity) -> bytes:
    """16 bytes that stand for an identity in memory."""
    return hashlib.blake2b(msgspec.json.encode(identity), digest_size=16).digest()
