"""Fine-tune one student on the kept traces of a run, under DeepSpeed ZeRO.

    result = train(run, "tiny-qwen")                     # one process, or one per GPU
    torchrun --nnodes 2 ... -m distill train --student qwen-32b

Reads kept.jsonl, the recipe's `train` and the student's card; writes students/NAME/ (an ordinary
Hugging Face checkpoint) with training.jsonl, one row per step. The same command again continues from
the last checkpoint, or says that it is done. Ctrl-C and SIGTERM finish the step, save and stop.

The loop is `run_steps`: no trainer between the user and the loss.
"""

import contextlib
import math
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from distill import cards, jsonl
from distill.errors import DistillError
from distill.progress import Progress
from distill.run import Run
from distill.train import checkpoints, zero
from distill.train.chat import Renderer
from distill.train.checkpoints import State
from distill.train.corpus import Corpus
from distill.train.export import Facts, export, read_facts
from distill.train.fits import check_fits
from distill.train.isolation import prove_isolation
from distill.train.launch import launch, must_launch
from distill.train.loss import learner, step_share
from distill.train.pack import Schedule, collate, pack
from distill.train.plan import Job, Share, arithmetic, learning_rate, resolve, split, tokenise
from distill.train.student import load, load_tokenizer
from distill.train.zero import World, talk

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class TrainResult(msgspec.Struct, frozen=True, kw_only=True):
    """What `train` hands back; ``already`` when there was nothing left to do."""

    path: str
    facts: Facts
    already: bool


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One row of ``training.jsonl``. ``tokens`` and ``learned`` of this step, ``seconds`` since step 0."""

    step: int
    loss: float
    lr: float
    grad_norm: float
    tokens: int
    learned: int
    seconds: float


class Stop:
    """Ctrl-C or SIGTERM asks once; the loop answers after its step. A second Ctrl-C is not held back."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Stop":
        with contextlib.suppress(
            ValueError
        ):  # not the main thread: whoever called us handles signals
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._asked)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:  # fmt: skip
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _asked(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        signal.signal(number, self._before[number])


def finished(job: Job) -> TrainResult | None:
    """The result of an earlier call, if it was for the same data and settings."""
    facts = read_facts(job.folder)
    if facts is None:
        return None
    if facts.fingerprint != job.fingerprint:
        what = (
            "kept traces"
            if facts.kept_sha256 != job.kept_sha256
            else "train settings or student card"
        )
        raise DistillError(
            f"{job.folder}: this student was trained with other {what}; "
            "move or remove the folder to train anew"
        )
    if job.world.leads:
        shutil.rmtree(job.checkpoints, ignore_errors=True)  # left by a kill right after the export
    talk(
        f"train: {job.folder} is done already ({facts.steps:,} steps, loss {facts.loss:.4f})",
        job.world,
    )
    return TrainResult(path=str(job.folder), facts=facts, already=True)


# ── the loop ─────────────────────────────────────────────────────────────────────────────────────


def run_steps(
    engine: Any, job: Job, schedule: Schedule, corpus: Corpus, share: Share, state: State
) -> State:
    """Every step from ``state`` to the end of the schedule; saves on time and when asked to stop."""
    world, settings = job.world, job.settings
    started, saved_at, first = time.monotonic() - state.seconds, time.monotonic(), state
    learned_of, length_of = corpus.learned, corpus.lengths
    with Stop() as stop, curve(job) as write, progress(world, schedule.steps) as show:
        for step in range(state.step, schedule.steps):
            lr = learning_rate(step, schedule.steps, settings)
            for group in engine.optimizer.param_groups:
                group["lr"] = lr
            rows = schedule.rows(step)
            documents = schedule.packing.documents_of(rows)
            tokens, learned = int(length_of[documents].sum()), int(learned_of[documents].sum())
            factor = step_share(world=world.size, accumulation=share.accumulation, learned=learned)
            mine, norm = passes(engine, schedule, corpus, share.forwards(rows, world), rows, factor)
            now = time.monotonic()
            due = now - saved_at >= 60 * settings.checkpoint_minutes
            summed, (asked, save) = world.sum_and_max(mine, stop.signal is not None, due)
            if not math.isfinite(summed):
                raise DistillError(
                    f"train: the loss of step {step + 1} is {summed}; lower train.learning_rate "
                    f"(checkpoints up to step {state.step} are kept)"
                )
            state = msgspec.structs.replace(
                state,
                step=step + 1,
                tokens=state.tokens + tokens,
                learned=state.learned + learned,
                seconds=now - started,
            )
            write(Step(step=step + 1, loss=summed / learned, lr=lr, grad_norm=norm, tokens=tokens,
                       learned=learned, seconds=round(now - started, 3)))  # fmt: skip
            rate = (state.tokens - first.tokens) / max(1e-9, state.seconds - first.seconds)
            show(step + 1, loss=f"{summed / learned:.4f}", tok_s=f"{rate:,.0f}")
            every = settings.checkpoint_steps
            if asked or save or (every is not None and (step + 1) % every == 0):
                checkpoints.save(engine, job.checkpoints, state, world, run=job.run, stage=job.stage,
                                 keep=settings.keep_checkpoints)  # fmt: skip
                saved_at = time.monotonic()
            if asked:
                talk(
                    f"\ntrain: stopped after step {step + 1}, which is saved; the same command continues",
                    world,
                )
                raise KeyboardInterrupt  # for SIGTERM, too: exit code 130, as in every stage
    return state


class Passes(NamedTuple):
    """What one process's forward and backward passes of a step came to."""

    summed: float  # loss over this process's learned tokens
    norm: float  # of the whole step's gradient, before clipping


def passes(engine: Any, schedule: Schedule, corpus: Corpus, forwards: "list[NDArray[np.int64]]",
           rows: "NDArray[np.int64]", factor: float) -> Passes:  # fmt: skip
    """Forward and backward over this process's share of a step's rows, and the optimizer's step."""
    import torch

    summed, norm = torch.zeros((), device=engine.device), None
    for number, mine in enumerate(forwards, start=1):
        # Every process runs every pass; where its rows ran out it learns nothing from another's.
        taken = mine if len(mine) else rows[:1]
        batch = collate(corpus, schedule.packing.documents_of(taken), learn=len(mine) > 0,
                        device=str(engine.device))  # fmt: skip
        loss = engine(batch)
        engine.backward(loss * factor)
        if number == len(forwards) and engine.zero_optimization_stage() == 0:
            norm = zero.gradient_norm(engine)
        engine.step()
        summed += loss.detach()
    return Passes(float(summed), float(engine.get_global_grad_norm()) if norm is None else norm)


@contextlib.contextmanager
def curve(job: Job) -> "Iterator[Any]":
    """Appends rows to ``training.jsonl`` (the first process only)."""
    if not job.world.leads:
        yield lambda row: None
        return
    with jsonl.Appender(job.curve) as out:
        yield out.append


@contextlib.contextmanager
def progress(world: World, steps: int) -> "Iterator[Any]":
    """The live line (the first process only)."""
    if not world.leads:
        yield lambda done, **figures: None
        return
    with Progress("train", steps, "steps") as line:
        yield line.update


# ── the whole ────────────────────────────────────────────────────────────────────────────────────


def train(run: Run, student: str, *, processes: int | None = None) -> TrainResult:
    """Train one student of a run, or continue, or find it done.

    ``processes`` above 1 starts that many on this machine (default: one per GPU, else one). In a
    process that torchrun started this call is one of them.
    """
    check_fits(cards.load_student(student), run.recipe.train)
    run.need(run.kept, "distill filter")
    if must_launch(processes):
        return launched(run, student, processes)
    world = zero.join()
    if world.leads:
        run.add_students([student])  # eval finds its card there, whatever it is called
    job = resolve(run, student, world)
    done = finished(job)
    world.wait()
    if done is None:
        job.folder.mkdir(parents=True, exist_ok=True)
        with jsonl.locked(job.folder) if world.leads else contextlib.nullcontext():
            done = _train(job)
    world.wait()  # the group stays: the next student of this command uses it
    return done


def launched(run: Run, student: str, processes: int | None) -> TrainResult:
    """The result of a training that several processes ran."""
    launch(run, student, processes)
    run.add_students([student])
    folder = run.student(cards.load_student(student).name)
    facts = read_facts(folder)
    assert facts is not None, f"{folder}: training ended without a result"
    return TrainResult(path=str(folder), facts=facts, already=False)


def _train(job: Job) -> TrainResult:
    import torch

    world, settings = job.world, job.settings
    assert settings.epochs is not None and settings.learning_rate is not None, (
        "resolve() fills them"
    )
    torch.manual_seed(settings.seed)
    tokenizer = load_tokenizer(job.base, job.card.revision if job.card.model else None)
    renderer = Renderer(tokenizer, job.card.marks)
    corpus = tokenise(job, tokenizer, renderer)
    share = split(settings, world.size)
    schedule = Schedule(pack(corpus.lengths, settings.length), rows_per_step=share.rows_per_step,
                        epochs=settings.epochs, seed=settings.seed, max_steps=settings.max_steps)  # fmt: skip
    with zero.partitioned(settings, world):
        model = load(job.base, job.card, zero.precision(settings, world.device))
    model.to(world.device)  # type: ignore[arg-type]
    model.train()
    parameters = sum(zero.count(parameter) for parameter in model.parameters())
    talk(arithmetic(job, share, schedule, corpus, parameters), world)
    engine = zero.start(learner(model), settings, world, accumulation=share.accumulation,
                        learning_rate=settings.learning_rate)  # fmt: skip
    prove_isolation(model)
    state = checkpoints.resume(
        engine, job.checkpoints, job.fingerprint, world, run=job.run, stage=job.stage
    )
    if state is not None:
        talk(f"train: continuing after step {state.step:,} of {schedule.steps:,}", world)
    else:
        state = State(
            step=0,
            tokens=0,
            learned=0,
            seconds=0.0,
            fingerprint=job.fingerprint,
            processes=world.size,
        )
    if world.leads:
        cut_curve(job.curve, state.step)
        job.run.log("train", "start", student=job.card.name, step=state.step, steps=schedule.steps)
    state = run_steps(engine, job, schedule, corpus, share, state)
    return finish(job, model, tokenizer, renderer, corpus, state, parameters)


def cut_curve(path: Path, step: int) -> None:
    """Drop the rows of ``training.jsonl`` that come after the checkpoint we continue from."""
    if path.exists():
        jsonl.cut_torn_tail(path)
        jsonl.write_rows(path, [row for row in jsonl.read(path, Step) if row.step <= step])


def finish(job: Job, model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", renderer: Renderer,
           corpus: Corpus, state: State, parameters: int) -> TrainResult:  # fmt: skip
    """Export, record, and only then remove the checkpoints."""
    losses = [row.loss for row in jsonl.read(job.curve, Step)][-20:] if job.world.leads else [0.0]
    facts = Facts(
        student=job.card.name, base=job.card.model or f"bases/{job.card.name}",
        revision=job.card.revision, licence=job.card.licence, fingerprint=job.fingerprint,
        kept_sha256=job.kept_sha256, parameters=parameters, documents=corpus.counts.documents,
        too_long=corpus.counts.too_long, control_token=corpus.counts.control_token,
        steps=state.step, tokens=state.tokens, learned=state.learned,
        loss=sum(losses) / len(losses), seconds=round(state.seconds, 1), processes=job.world.size,
        settings=msgspec.to_builtins(job.settings),
    )  # fmt: skip
    export(model, tokenizer, job.folder, facts, end_id=renderer.end_id, world=job.world)
    if job.world.leads:
        job.run.record(job.stage, state="done", **msgspec.to_builtins(facts))
        job.run.log("train", "end", student=job.card.name, steps=state.step, seconds=facts.seconds)
        shutil.rmtree(job.checkpoints, ignore_errors=True)
        rate = state.tokens / max(1e-9, state.seconds)
        talk(
            f"train: {job.folder}: {state.step:,} steps, {state.tokens / 1e6:,.2f}M tokens in "
            f"{state.seconds:,.0f} s ({rate:,.0f} tokens/s), loss {facts.loss:.4f}",
            job.world,
        )
    job.world.wait()
    result = read_facts(job.folder)
    assert result is not None, f"{job.folder}: exported without its marker"
    return TrainResult(path=str(job.folder), facts=result, already=False)
