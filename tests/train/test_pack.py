"""Rows, their order, and how they are laid out."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import kept_examples
from hypothesis import given, settings
from hypothesis import strategies as st

from distill import jsonl
from distill.cards import Marks
from distill.errors import DistillError
from distill.recipe import Train
from distill.train.chat import Renderer
from distill.train.corpus import Corpus, build_corpus
from distill.train.loop import split
from distill.train.pack import Schedule, collate, pack
from distill.train.zero import World

LENGTHS = st.lists(st.integers(1, 64), min_size=1, max_size=200)


@given(LENGTHS)
def test_every_document_is_in_exactly_one_row_and_no_row_overflows(lengths: list[int]) -> None:
    packing = pack(lengths, 64)
    assert sorted(packing.documents.tolist()) == list(range(len(lengths)))
    for row in range(packing.rows):
        documents = packing.documents_of(np.asarray([row]))
        assert 0 < sum(lengths[d] for d in documents) <= 64
    assert packing.fill <= 1


@given(LENGTHS)
def test_packing_is_deterministic_and_no_two_rows_would_fit_into_one(lengths: list[int]) -> None:
    packing = pack(lengths, 64)
    again = pack(lengths, 64)
    assert packing.documents.tolist() == again.documents.tolist()
    assert packing.starts.tolist() == again.starts.tolist()
    sums = sorted(
        sum(lengths[d] for d in packing.documents_of(np.asarray([r]))) for r in range(packing.rows)
    )
    assert len(sums) < 2 or sums[0] + sums[1] > 64


def test_best_fit_takes_the_fullest_row_that_still_has_room() -> None:
    packing = pack([5, 6, 4, 3, 2], 10)
    rows = [packing.documents_of(np.asarray([r])).tolist() for r in range(packing.rows)]
    assert rows == [[1, 2], [0, 3, 4]]


@given(
    rows=st.integers(1, 40),
    per_step=st.integers(1, 12),
    epochs=st.floats(0.1, 3.5),
    seed=st.integers(0, 9),
)
def test_each_epoch_takes_every_row_once_in_its_own_order(
    rows: int, per_step: int, epochs: float, seed: int
) -> None:
    schedule = Schedule(pack([8] * rows, 8), rows_per_step=per_step, epochs=epochs, seed=seed)
    taken = np.concatenate([schedule.rows(step) for step in range(schedule.steps)])
    assert len(taken) == schedule.total_rows
    for epoch in range(len(taken) // rows):
        assert sorted(taken[epoch * rows : (epoch + 1) * rows]) == list(range(rows))
    # what a resumed run sees does not depend on the steps before
    fresh = Schedule(pack([8] * rows, 8), rows_per_step=per_step, epochs=epochs, seed=seed)
    assert fresh.rows(schedule.steps - 1).tolist() == schedule.rows(schedule.steps - 1).tolist()


@settings(max_examples=30)
@given(rows=st.integers(1, 30), processes=st.integers(1, 5), per_forward=st.integers(1, 6))
def test_any_number_of_processes_takes_the_same_rows(
    rows: int, processes: int, per_forward: int
) -> None:
    train = Train(length=8, tokens_per_step=8 * rows, rows_per_forward=per_forward)
    share = split(train, processes)
    assert share.rows_per_step == rows
    forwards = [
        share.forwards(np.arange(rows), World(r, processes, "cpu")) for r in range(processes)
    ]
    assert {len(mine) for mine in forwards} == {share.accumulation}
    assert sorted(np.concatenate([f for mine in forwards for f in mine])) == list(range(rows))
    assert max(len(f) for mine in forwards for f in mine) <= per_forward


def corpus_of(folder: Path, tokenizer: Any, length: int, rows: int = 40) -> Corpus:
    kept = folder / "kept.jsonl"
    jsonl.write_rows(kept, kept_examples(rows))
    renderer = Renderer(tokenizer, Marks())
    return build_corpus(kept, renderer, length=length, folder=folder / "data", key="k")


def test_what_is_too_long_is_dropped_whole_and_counted(tmp_path: Path, tokenizer: Any) -> None:
    everything = corpus_of(tmp_path / "a", tokenizer, 512)
    middle = int(np.median(everything.lengths))
    some = corpus_of(tmp_path / "b", tokenizer, middle)
    assert some.counts.too_long == int((everything.lengths > middle).sum()) > 0
    assert some.counts.rows == 40 == some.counts.documents + some.counts.too_long
    assert some.lengths.tolist() == everything.lengths[everything.lengths <= middle].tolist()
    assert f"{some.counts.too_long} dropped (too long {some.counts.too_long})" in str(some.counts)


def test_nothing_to_train_on_is_said(tmp_path: Path, tokenizer: Any) -> None:
    with pytest.raises(DistillError, match="nothing to train on"):
        corpus_of(tmp_path, tokenizer, 8)


def test_a_corpus_is_made_again_only_when_its_key_changes(tmp_path: Path, tokenizer: Any) -> None:
    first = corpus_of(tmp_path, tokenizer, 512)
    (tmp_path / "kept.jsonl").write_text("not read again\n")
    renderer = Renderer(tokenizer, Marks())
    again = build_corpus(
        tmp_path / "kept.jsonl", renderer, length=512, folder=tmp_path / "data", key="k"
    )
    assert again.ids.tolist() == first.ids.tolist()
    with pytest.raises(DistillError):
        build_corpus(
            tmp_path / "kept.jsonl", renderer, length=512, folder=tmp_path / "data", key="other"
        )


def test_a_batch_restarts_positions_and_learns_only_answers(tmp_path: Path, tokenizer: Any) -> None:
    corpus = corpus_of(tmp_path, tokenizer, 512)
    documents = np.asarray([3, 0, 7])
    batch = collate(corpus, documents)
    assert batch.positions_T.tolist() == [p for n in corpus.lengths[documents] for p in range(n)]
    assert batch.learned == int(corpus.learned[documents].sum())
    assert batch.ids_T[batch.places_N + 1].tolist() == batch.labels_N.tolist()
    last = np.cumsum(corpus.lengths[documents]) - 1
    assert batch.ids_T[last].tolist() == [tokenizer.convert_tokens_to_ids("<|im_end|>")] * 3
    assert not set(batch.places_N.tolist()) & set(
        last.tolist()
    )  # no document predicts the next one
    assert collate(corpus, documents, learn=False).learned == 0
