"""Rows sorted into plan order without holding their texts: the texts wait in a file without a name.

    with Spill(run.path) as spill:
        spill.add(problem=17, series=0, sample=3, print_=digest, passed=True, row=b'{...}\\n')
        spill.sort(problems=ranks, series=ranks)
        for entry in spill.entries(): spill.read(entry)

Rows come in any order; problem and series are numbers in the order of their first coming, and `sort`
takes the rank of each. Memory: 90 bytes a row (90 MB at a million); disk: each row once, given back
when the process ends, however it ends.
"""

import os
import struct
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from distill.jsonl import disk_error

# Big-endian, so that packed entries sort as bytes by problem, series, sample. The fingerprint comes
# next: an identity that was written twice has one order whichever of the two came first.
_ENTRY = struct.Struct(">IIQ16s?QI")


class Entry(NamedTuple):
    """What is in memory of one row."""

    problem: int
    series: int
    sample: int
    print_: bytes
    passed: bool
    offset: int
    length: int


class Spill:
    """Rows on disk, their order in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=folder, buffering=1 << 20)  # noqa: SIM115
        self._size = 0
        self._entries: list[bytes] = []

    def add(
        self, *, problem: int, series: int, sample: int, print_: bytes, passed: bool, row: bytes
    ) -> None:
        """Set one row aside. ``passed`` is a flag that comes back with its entry."""
        try:
            self._file.write(row)
        except OSError as error:
            raise disk_error(self.folder, error) from None
        self._entries.append(
            _ENTRY.pack(problem, series, sample, print_, passed, self._size, len(row))
        )
        self._size += len(row)

    def sort(self, problems: Sequence[int], series: Sequence[int]) -> None:
        """Into the order (rank of the problem, rank of the series, sample)."""
        try:
            self._file.flush()
        except OSError as error:
            raise disk_error(self.folder, error) from None
        for index, packed in enumerate(self._entries):
            problem, its_series, *rest = _ENTRY.unpack(packed)
            self._entries[index] = _ENTRY.pack(problems[problem], series[its_series], *rest)
        self._entries.sort()

    def entries(self) -> Iterator[Entry]:
        return (Entry(*_ENTRY.unpack(packed)) for packed in self._entries)

    def read(self, entry: Entry) -> bytes:
        """The row as it was added."""
        return os.pread(self._file.fileno(), entry.length, entry.offset)

    def __len__(self) -> int:
        return len(self._entries)

    def __enter__(self) -> "Spill":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:  # fmt: skip
        self._file.close()


def ranks(names: Sequence[str]) -> list[int]:
    """Where each name stands among them all when sorted."""
    order = sorted(range(len(names)), key=names.__getitem__)
    found = [0] * len(names)
    for rank, index in enumerate(order):
        found[index] = rank
    return found
