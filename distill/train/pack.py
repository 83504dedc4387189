"""Pack documents into rows, lay rows out for one forward pass, and keep documents apart.

    packing = pack(corpus.lengths, length=32768)       # best fit, longest first; deterministic
    schedule = Schedule(packing, rows_per_step=16, epochs=3, seed=0)
    batch = collate(corpus, packing.documents_of(schedule.rows(step)))

A forward pass sees its documents back to back in one line of T tokens: no padding, positions from 0
in each document, attention inside a document only (`attention.py`). A row is what bounds memory: a
forward pass takes ``rows_per_forward`` rows of at most ``length`` tokens.

Shapes: T tokens of one forward pass, D documents, N learned tokens.
"""

import math
from typing import TYPE_CHECKING, NamedTuple

from distill.train.attention import Layout, lay_out
from distill.train.corpus import Corpus

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import ArrayLike, NDArray


class Packing(NamedTuple):
    """Row r holds ``documents[starts[r]:starts[r + 1]]``."""

    documents: "NDArray[np.int64]"
    starts: "NDArray[np.int64]"
    length: int
    tokens: int

    @property
    def rows(self) -> int:
        return len(self.starts) - 1

    @property
    def fill(self) -> float:
        """Share of the rows' places that hold a token."""
        return self.tokens / (self.rows * self.length)

    def documents_of(self, rows: "NDArray[np.int64]") -> "NDArray[np.int64]":
        """The documents of some rows, in order."""
        import numpy as np

        parts = [self.documents[self.starts[row] : self.starts[row + 1]] for row in rows]
        return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)


def pack(lengths: "ArrayLike", length: int) -> Packing:
    """Best-fit decreasing: each document, longest first, into the fullest row that still takes it.

    O(n log n) for the sort; finding the row is one shift of a ``length``-bit integer that has bit r
    set while some row has exactly r places left.
    """
    import numpy as np

    sizes = np.asarray(lengths, dtype=np.int64)
    assert sizes.size and 0 < sizes.min() and sizes.max() <= length, (
        f"{sizes.min()=} {sizes.max()=} {length=}"
    )
    order = np.argsort(-sizes, kind="stable")
    with_room: list[list[int]] = [[] for _ in range(length + 1)]
    rooms, count = 0, 0
    row_of: list[int] = []
    for size in sizes[order].tolist():
        fitting = rooms >> size
        if fitting:
            room = size + (fitting & -fitting).bit_length() - 1
            row = with_room[room].pop()
            if not with_room[room]:
                rooms ^= 1 << room
        else:
            room, row, count = length, count, count + 1
        left = room - size
        if left:
            with_room[left].append(row)
            rooms |= 1 << left
        row_of.append(row)
    rows = np.asarray(row_of)
    by_row = np.argsort(rows, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=count))])
    return Packing(order[by_row], starts, length, int(sizes.sum()))


class Schedule:
    """Which rows each step takes: epochs of all rows, each in its own seeded order, end to end."""

    def __init__(
        self,
        packing: Packing,
        *,
        rows_per_step: int,
        epochs: float,
        seed: int,
        max_steps: int | None = None,
    ) -> None:
        self.packing, self.rows_per_step, self.seed = packing, rows_per_step, seed
        self.total_rows = max(1, round(epochs * packing.rows))
        self.steps = math.ceil(self.total_rows / rows_per_step)
        if max_steps is not None and max_steps < self.steps:
            self.steps, self.total_rows = max_steps, max_steps * rows_per_step
        self._orders: dict[int, NDArray[np.int64]] = {}

    def rows(self, step: int) -> "NDArray[np.int64]":
        """The rows of one step (0-based); the last step may have fewer."""
        import numpy as np

        first = step * self.rows_per_step
        places = np.arange(first, min(first + self.rows_per_step, self.total_rows))
        epochs, within = np.divmod(places, self.packing.rows)
        return np.asarray(
            [self._order(int(e))[w] for e, w in zip(epochs, within, strict=True)], dtype=np.int64
        )

    def _order(self, epoch: int) -> "NDArray[np.int64]":
        import numpy as np

        if epoch not in self._orders:
            self._orders = {e: order for e, order in self._orders.items() if e == epoch - 1}
            self._orders[epoch] = np.random.default_rng([self.seed, epoch]).permutation(
                self.packing.rows
            )
        return self._orders[epoch]


class Batch(NamedTuple):
    """One forward pass. Token ``places_N[i]`` predicts ``labels_N[i]``, the token that follows it."""

    ids_T: "torch.Tensor"
    positions_T: "torch.Tensor"
    places_N: "torch.Tensor"
    labels_N: "torch.Tensor"
    layout: Layout

    @property
    def learned(self) -> int:
        return len(self.labels_N)


def collate(
    corpus: Corpus, documents: "NDArray[np.int64]", *, learn: bool = True, device: str = "cpu"
) -> Batch:
    """Lay documents out back to back. With ``learn`` off nothing in the batch is learned."""
    import numpy as np
    import torch

    ids = np.concatenate([corpus.document(int(d)) for d in documents])
    lengths = corpus.lengths[documents]
    starts = np.cumsum(lengths) - lengths
    positions = np.arange(len(ids)) - np.repeat(starts, lengths)
    learned = np.flatnonzero(positions >= np.repeat(corpus.learned_from[documents], lengths))
    learned = learned if learn else learned[:0]
    return Batch(
        ids_T=torch.from_numpy(ids.astype(np.int64)).to(device),
        positions_T=torch.from_numpy(positions).to(device),
        places_N=torch.from_numpy(learned - 1).to(device),
        labels_N=torch.from_numpy(ids[learned].astype(np.int64)).to(device),
        layout=lay_out(lengths, device=device),
    )
