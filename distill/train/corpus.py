"""The kept examples as token ids on disk: what one student trains on.

    corpus = build_corpus(run.kept, renderer, length=32768, folder=checkpoints / "data", key=key)
    corpus.document(7)          # int32 ids, a view into the file
    corpus.lengths              # int32, one per document
    corpus.counts               # rows read, documents, dropped by reason: they add up

Tokenised in a stream, 4 bytes a token, read through a memory map: a million long traces do not have
to fit in memory. A document longer than the row length is dropped and counted, never cut: half a
trace teaches never to end.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from distill import jsonl
from distill.errors import DistillError
from distill.train.chat import ControlToken, Renderer, Row, Text
from distill.types import Example

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_TOGETHER = 512  # rows per tokenizer call: its threads need some to share


class Counts(msgspec.Struct, frozen=True):
    """rows = documents + too_long + control_token."""

    rows: int
    documents: int
    too_long: int
    control_token: int
    tokens: int
    learned: int

    def __str__(self) -> str:
        dropped = self.too_long + self.control_token
        text = f"{self.rows:,} rows → {self.documents:,} documents, {dropped:,} dropped"
        reasons = [("too long", self.too_long), ("control token in the answer", self.control_token)]
        named = [f"{reason} {count:,}" for reason, count in reasons if count]
        return f"{text} ({', '.join(named)})" if named else text


class Corpus(NamedTuple):
    """Documents back to back; document d is ``ids[offsets[d]:offsets[d + 1]]``."""

    ids: "NDArray[np.int32]"
    offsets: "NDArray[np.int64]"
    learned_from: "NDArray[np.int32]"
    counts: Counts

    @property
    def lengths(self) -> "NDArray[np.int64]":
        return self.offsets[1:] - self.offsets[:-1]

    @property
    def learned(self) -> "NDArray[np.int64]":
        """Learned tokens per document."""
        return self.lengths - self.learned_from

    def document(self, index: int) -> "NDArray[np.int32]":
        return self.ids[self.offsets[index] : self.offsets[index + 1]]


def build_corpus(kept: Path, renderer: Renderer, *, length: int, folder: Path, key: str) -> Corpus:
    """Tokenise a file of examples into ``folder``, or open what an earlier call with this key made."""
    import numpy as np

    marker = folder / "corpus.json"
    if not (marker.exists() and msgspec.json.decode(marker.read_bytes())["key"] == key):
        folder.mkdir(parents=True, exist_ok=True)
        marker.unlink(missing_ok=True)
        offsets, learned_from = [0], []
        rows = too_long = control = 0
        try:
            with (folder / "ids.bin").open("wb") as out:
                for row in _rendered(kept, renderer):
                    rows += 1
                    if row is None:
                        control += 1
                    elif len(row.ids) > length:
                        too_long += 1
                    else:
                        out.write(np.asarray(row.ids, dtype=np.int32).tobytes())
                        offsets.append(offsets[-1] + len(row.ids))
                        learned_from.append(row.learned_from)
            np.save(folder / "offsets.npy", np.asarray(offsets, dtype=np.int64))
            np.save(folder / "learned_from.npy", np.asarray(learned_from, dtype=np.int32))
        except OSError as error:
            raise jsonl.disk_error(folder, error) from None
        learned = offsets[-1] - sum(learned_from)
        counts = Counts(rows, len(learned_from), too_long, control, offsets[-1], learned)
        assert counts.rows == counts.documents + too_long + control, f"{counts=}"
        jsonl.write_bytes(marker, msgspec.json.encode({"key": key, "counts": counts}))
    return open_corpus(folder, kept)


def open_corpus(folder: Path, kept: Path) -> Corpus:
    """What `build_corpus` made, mapped into memory."""
    import numpy as np

    counts = msgspec.convert(
        msgspec.json.decode((folder / "corpus.json").read_bytes())["counts"], Counts
    )
    if counts.documents == 0:
        raise DistillError(
            f"{kept}: nothing to train on ({counts}); raise train.length, or look at dropped.jsonl"
        )
    ids = np.memmap(folder / "ids.bin", dtype=np.int32, mode="r")
    offsets = np.load(folder / "offsets.npy", allow_pickle=False)
    learned_from = np.load(folder / "learned_from.npy", allow_pickle=False)
    return Corpus(ids, offsets, learned_from, counts)


def _rendered(kept: Path, renderer: Renderer) -> Iterator[Row | None]:
    """Rows in file order; None for one whose answer holds a control token."""
    examples = enumerate(jsonl.read(kept, Example), start=1)
    while some := list(islice(examples, _TOGETHER)):
        texts: list[Text | None] = []
        for number, example in some:
            try:
                texts.append(renderer.text(example, f"{kept}:{number}"))
            except ControlToken:
                texts.append(None)
        rows = iter(renderer.rows([text for text in texts if text is not None]))
        yield from (None if text is None else next(rows) for text in texts)
