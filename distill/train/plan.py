"""What one training will do, settled before it starts: data, settings, split into steps, cost.

    job = resolve(run, "tiny-qwen", world)      # card and recipe merged; a fingerprint of what is learned
    share = split(job.settings, world.size)     # rows per step and forward pass, accumulation
    print(arithmetic(job, share, schedule, corpus, parameters))

The rows of a step depend on the recipe and the seed, never on how many processes share them.
"""

import hashlib
import math
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from distill import cards, jsonl
from distill.cards import Student
from distill.recipe import Train
from distill.run import Run
from distill.train.chat import Renderer
from distill.train.corpus import Corpus, build_corpus
from distill.train.fits import memory_of
from distill.train.pack import Schedule
from distill.train.student import base_model
from distill.train.zero import World, precision

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from transformers import PreTrainedTokenizerBase

DATA = "data"  # the tokenised corpus, beside the checkpoints
_NO_EFFECT = ("checkpoint_minutes", "checkpoint_steps", "keep_checkpoints")  # on what is learned


class Job(NamedTuple):
    """One student of one run, everything resolved."""

    run: Run
    card: Student
    settings: Train
    base: str
    kept_sha256: str
    fingerprint: str
    world: World

    @property
    def folder(self) -> Path:
        return self.run.student(self.card.name)

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def curve(self) -> Path:
        return self.folder / "training.jsonl"

    @property
    def stage(self) -> str:
        return f"train/{self.card.name}"


class Share(NamedTuple):
    """How the rows of a step are split: the same rows for any number of processes."""

    rows_per_step: int
    rows_per_forward: int
    accumulation: int

    def forwards(self, rows: "NDArray[np.int64]", world: World) -> "list[NDArray[np.int64]]":
        """This process's forward passes of a step; an empty one stands where rows ran out."""
        mine = rows[world.rank :: world.size]
        per = self.rows_per_forward
        return [mine[i * per : (i + 1) * per] for i in range(self.accumulation)]


def resolve(run: Run, student: str, world: World) -> Job:
    """Everything that decides what is learned, and its fingerprint."""
    card = cards.load_student(student)
    recipe = run.recipe.train
    settings = msgspec.structs.replace(
        recipe,
        learning_rate=recipe.learning_rate or card.learning_rate,
        epochs=recipe.epochs or card.epochs,
        length=min(recipe.length, card.context),
    )
    if world.leads:
        base_model(run, student)
    world.wait()
    base = base_model(run, student)
    sealed = jsonl.seal(run.kept)
    decisive = {k: v for k, v in msgspec.to_builtins(settings).items() if k not in _NO_EFFECT}
    parts = [sealed.sha256, decisive, msgspec.to_builtins(card)]
    fingerprint = hashlib.sha256(msgspec.json.encode(parts, order="sorted")).hexdigest()
    return Job(run, card, settings, base, sealed.sha256, fingerprint, world)


def tokenise(job: Job, tokenizer: "PreTrainedTokenizerBase", renderer: Renderer) -> Corpus:
    """The corpus of this job: made by the first process, opened by the others."""
    marks = msgspec.to_builtins(job.card.marks)
    parts = [
        job.kept_sha256,
        job.settings.length,
        tokenizer.chat_template,
        marks,
        job.base,
        len(tokenizer),
    ]
    key = hashlib.sha256(msgspec.json.encode(parts)).hexdigest()
    if not job.world.leads:
        job.world.wait()
    corpus = build_corpus(job.run.kept, renderer, length=job.settings.length,
                          folder=job.checkpoints / DATA, key=key)  # fmt: skip
    if job.world.leads:
        job.world.wait()
    return corpus


def split(settings: Train, processes: int) -> Share:
    """Rows per step, per forward pass, and forward passes per process and step."""
    rows_per_step = max(1, settings.tokens_per_step // settings.length)
    per_process = math.ceil(rows_per_step / processes)
    rows_per_forward = min(settings.rows_per_forward, per_process)
    return Share(rows_per_step, rows_per_forward, math.ceil(per_process / rows_per_forward))


def arithmetic(job: Job, share: Share, schedule: Schedule, corpus: Corpus, parameters: int) -> str:
    """What the run will take, before it takes it."""
    packing, settings, size = schedule.packing, job.settings, job.world.size
    tokens = packing.tokens * schedule.total_rows / packing.rows
    half = precision(settings, job.world.device).itemsize == 2
    memory = memory_of(parameters, settings, processes=size, half=half)
    host = f" and {memory.host / 2**20:,.1f} MiB on the host" if memory.host else ""
    return (
        f"train: {corpus.counts}\n"
        f"train: {packing.rows:,} rows of {settings.length:,} tokens, {packing.fill:.1%} filled; "
        f"{share.rows_per_step} rows a step = {size} process(es) x {share.rows_per_forward} rows x "
        f"{share.accumulation} accumulation\n"
        f"train: {settings.epochs:g} epochs, {schedule.steps:,} steps, {tokens / 1e6:,.2f}M tokens; "
        f"{parameters:,} parameters, about {memory.device / 2**20:,.1f} MiB{host} per process for weights, "
        f"gradients and Adam (ZeRO-{settings.zero})"
    )


def learning_rate(step: int, steps: int, settings: Train) -> float:
    """Linear warm-up, then a cosine to ``final_learning_rate`` of the peak. ``step`` is 0-based."""
    peak = settings.learning_rate
    assert peak is not None, "resolve() fills it"
    warm = max(1, round(settings.warmup * steps))
    if step < warm:
        return peak * (step + 1) / warm
    along = (step - warm) / max(1, steps - warm)
    low = settings.final_learning_rate
    return peak * (low + (1 - low) * 0.5 * (1 + math.cos(math.pi * along)))
