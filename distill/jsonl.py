"""JSON Lines as real model text needs them, and files that survive a kill.

    for problem in read(path, Problem, on_bad=rejected.append): ...
    with Appender(folder / "000000.jsonl") as out: out.append(trace)
    sealed = write_rows(run.kept, examples)          # all or nothing; sealed.rows, sealed.sha256

Reading: lines end at byte 10 only (U+2028 inside a trace is text), a byte-order mark is dropped, a
lone surrogate and invalid UTF-8 become U+FFFD, NaN and Infinity are refused. ``.zst`` files read as
they are. One line is in memory at a time.

Writing: an `Appender` hands each row to the kernel at once (a killed process loses nothing it was told
is written) and fsyncs at most one second apart (power loss costs at most that second). A torn last
line is cut to ``FILE.torn`` before the next append. Whole files go through temp, fsync, rename.
"""

import contextlib
import errno
import fcntl
import hashlib
import io
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, NoReturn, TypeVar

import msgspec

from distill.errors import DistillError, Missing, UnreadableRow
from distill.types import Rejected

if TYPE_CHECKING:
    from typing_extensions import Buffer  # collections.abc has it from Python 3.12

T = TypeVar("T")
OnBad = Callable[[Rejected], object]

_BOM = b"\xef\xbb\xbf"
_FSYNC_EVERY_S = 1.0
_encoder = msgspec.json.Encoder()


class Line(NamedTuple):
    """One line of a file: 1-based number, byte offset (of the uncompressed text), bytes without \\n."""

    number: int
    offset: int
    data: bytes


class Sealed(NamedTuple):
    """What a finished file holds: goes into the manifest."""

    rows: int
    sha256: str


# ── reading ──────────────────────────────────────────────────────────────────────────────────────


def lines(path: Path) -> Iterator[Line]:
    """The non-empty lines of a file, a torn last one included (it simply may not parse)."""
    offset = 0
    with open_bytes(path) as file:
        for number, raw in enumerate(file, start=1):
            data = raw.rstrip(b"\n")
            if number == 1 and data.startswith(_BOM):
                data = data[len(_BOM) :]
            if data.strip():
                yield Line(number, offset, data)
            offset += len(raw)


def open_bytes(path: Path) -> BinaryIO:
    """Open for reading, decompressing ``.zst``; a missing file is a `Missing`."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise Missing(f"{path}: no such file") from None
    except OSError as error:
        raise DistillError(f"{path}: {error.strerror}") from None
    return io.BufferedReader(_Decompressed(path, file), 1 << 20) if path.suffix == ".zst" else file


class _Decompressed(io.RawIOBase):
    """A ``.zst`` file as its text. A file cut short is an error: zstandard's own reader ends quietly."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        import zstandard

        self._path, self._file, self._zstandard = path, file, zstandard
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._inside = False  # a frame was begun and has not ended
        self._pending, self._ready = b"", b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "Buffer") -> int:
        view = memoryview(buffer)
        while not self._ready:
            data = self._pending or self._file.read(1 << 16)
            if not data:
                if self._inside:
                    raise DistillError(
                        f"{self._path}: the compressed file is cut short; copy it again"
                    )
                return 0
            try:
                self._ready = self._frame.decompress(data)
            except self._zstandard.ZstdError as error:
                raise DistillError(f"{self._path}: not readable as zstd: {error}") from None
            self._inside, self._pending = not self._frame.eof, b""
            if self._frame.eof:
                self._pending = self._frame.unused_data
                self._frame = self._zstandard.ZstdDecompressor().decompressobj()
        count = min(len(view), len(self._ready))
        view[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


def decode(data: bytes, type_: type[T]) -> T:
    """One row. Raises ``ValueError`` (``msgspec.DecodeError`` is one) with a reason a person can read."""
    try:
        return _decode(data, type_)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _decode(data: bytes, type_: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=type_)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeDecodeError):
        # The slow path: lone surrogates and broken UTF-8 are found in real traces. msgspec refuses
        # both, json.loads takes the first; what is not JSON at all fails here too.
        text = data.decode("utf-8", errors="replace")
        try:
            value = json.loads(text, parse_constant=_refuse_constant)
        except json.JSONDecodeError as error:
            raise ValueError(f"not JSON: {error.msg} (character {error.pos + 1})") from None
        return msgspec.json.decode(_without_surrogates(value), type=type_)


def _without_surrogates(value: object) -> bytes:
    text = json.dumps(value, ensure_ascii=False)
    return "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in text).encode()


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def read(path: Path, type_: type[T], *, on_bad: OnBad | None = None) -> Iterator[T]:
    """Rows of a file in order. A bad one goes to ``on_bad``; without it, `UnreadableRow` is raised."""
    for line in lines(path):
        try:
            yield decode(line.data, type_)
        except ValueError as error:
            where = f"{path}:{line.number}"
            if on_bad is None:
                raise UnreadableRow(f"{where}: {error}") from None
            shown = line.data[:2000].decode("utf-8", errors="replace")
            on_bad(Rejected(where=where, reason=str(error), row=shown))


def read_blob(path: Path, type_: type[T]) -> T:
    """A small JSON file of our own as a whole; a damaged one is a `DistillError`."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=type_)
    except ValueError as error:
        raise DistillError(
            f"{path}: {error}; the file was damaged after it was written: "
            "remove it and run the same command again"
        ) from None


def encode(row: object) -> bytes:
    """One line, newline included. Lone surrogates (a model can write them) become U+FFFD."""
    try:
        return _encoder.encode(row) + b"\n"
    except UnicodeEncodeError:
        return _without_surrogates(msgspec.to_builtins(row)) + b"\n"


# ── writing ──────────────────────────────────────────────────────────────────────────────────────


class Appender:
    """The one writer of an append-only file. Raises `DistillError` when the disk is full."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            cut_torn_tail(path)
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        except OSError as error:
            raise disk_error(path, error) from None
        self._size = os.fstat(self._file).st_size
        self._synced_at = time.monotonic()
        self._dirty = False

    def append(self, row: object) -> None:
        """Hand one row to the kernel, whole; fsync if the last one is a second old."""
        data = encode(row)
        try:
            written = os.write(self._file, data)
            while written < len(data):  # a full disk or a file-size limit can cut a write short
                written += os.write(self._file, data[written:])
        except OSError as error:
            os.ftruncate(self._file, self._size)  # half a row must not be glued to the next one
            raise disk_error(self.path, error) from None
        self._size += len(data)
        self._dirty = True
        if time.monotonic() - self._synced_at >= _FSYNC_EVERY_S:
            self.sync()

    def sync(self) -> None:
        """Make everything appended so far survive a power cut."""
        if self._dirty:
            try:
                os.fsync(self._file)
            except OSError as error:
                raise disk_error(self.path, error) from None
            self._dirty = False
        self._synced_at = time.monotonic()

    def close(self) -> None:
        try:
            self.sync()
        finally:
            os.close(self._file)

    def __enter__(self) -> "Appender":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:  # fmt: skip
        self.close()


def cut_torn_tail(path: Path) -> int:
    """Move what follows the last newline to ``FILE.torn``; returns the bytes moved (0: nothing torn)."""
    if not path.exists():
        return 0
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        end, tail = size, b""
        while end > 0:  # walk back a block at a time: a torn line can be megabytes long
            start = max(0, end - (1 << 16))
            file.seek(start)
            block = file.read(end - start)
            newline = block.rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                tail = block[newline + 1 :] + tail
                break
            tail, end = block + tail, start
        if tail:
            with path.with_name(path.name + ".torn").open("ab") as torn:
                torn.write(tail + b"\n")
                os.fsync(torn.fileno())
            file.truncate(end)
            os.fsync(file.fileno())
    return len(tail)


def ends_with_newline(path: Path) -> bool:
    """Whether the last line of a file is whole (an empty file counts as whole)."""
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return True
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def write_rows(path: Path, rows: Iterable[object]) -> Sealed:
    """Write a whole file or nothing: temp, fsync, rename, fsync of the folder. Streams."""
    digest, count = hashlib.sha256(), 0
    temporary = path.with_name(path.name + ".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            for row in rows:
                data = encode(row)
                digest.update(data)
                file.write(data)
                count += 1
            file.flush()
            os.fsync(file.fileno())
        _rename(temporary, path)
    except OSError as error:
        raise disk_error(path, error) from None
    return Sealed(count, digest.hexdigest())


def write_bytes(path: Path, data: bytes) -> None:
    """As `write_rows`, for one blob."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _rename(temporary, path)
    except OSError as error:
        raise disk_error(path, error) from None


def _rename(source: Path, target: Path) -> None:
    os.replace(source, target)
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Make renames inside a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def seal(path: Path) -> Sealed:
    """Row count and sha256 of a finished file, read in blocks."""
    digest, rows = hashlib.sha256(), 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
            rows += block.count(b"\n")
    return Sealed(rows, digest.hexdigest())


def disk_error(path: Path, error: OSError) -> DistillError:
    """What a full disk (or quota, or file-size limit) becomes; everything written so far stays."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return DistillError(
        f"{path}: {error.strerror}; what was written so far is kept: "
        f"{'make room' if full else 'mend that'} and run the same command again"
    )


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder for one writer. A second one gets a `DistillError` at once."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("a")
    except OSError as error:
        raise disk_error(folder, error) from None
    with lock as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DistillError(
                f"{folder}: another distill process is writing here; wait for it or stop it"
            ) from None
        yield
