"""Checkpoints that are whole or not there, and resume from none but our own.

    save(engine, folder, state, world, run=run, stage=stage, keep=2)
    state = resume(engine, folder, fingerprint, world, run=run, stage=stage)   # None: start at step 0

A checkpoint is written beside its final name, each process digests the files it wrote, everything is
fsynced, the digest of ``checkpoint.json`` goes into the run's manifest, then one rename makes it
count. Resuming unpickles (DeepSpeed's format), so only a checkpoint whose files match the digests
that this run recorded is opened; a damaged or foreign one is passed over for the one before.
"""

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

import msgspec

from distill import jsonl
from distill.errors import DistillError
from distill.run import Run
from distill.train.student import disk_may_fill, fresh, sync_all
from distill.train.zero import World, talk

_TAG = "state"
_HEAD = "checkpoint.json"


class State(msgspec.Struct, frozen=True, kw_only=True):
    """Where training stood: everything that is not a tensor."""

    step: int
    tokens: int
    learned: int
    seconds: float
    fingerprint: str
    processes: int


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """``checkpoint.json``: the state and the sha256 of every file."""

    state: State
    files: dict[str, str]


def save(
    engine: Any, folder: Path, state: State, world: World, *, run: Run, stage: str, keep: int
) -> None:
    """Write one checkpoint, atomically, and remove all but the last ``keep``. All processes call it."""
    import torch

    target = folder / f"step-{state.step:08d}"
    temporary = folder / f"{target.name}.tmp"
    if world.leads:
        fresh(temporary)
    world.wait()
    random_state = torch.get_rng_state()
    with disk_may_fill(folder):
        engine.save_checkpoint(
            str(temporary), tag=_TAG, client_state={"rng": random_state}, save_latest=False
        )
    world.wait()
    if world.leads:
        (temporary / "zero_to_fp32.py").unlink(missing_ok=True)
        files = {str(p.relative_to(temporary)): digest(p) for p in files_of(temporary)}
        jsonl.write_bytes(temporary / _HEAD, msgspec.json.encode(Head(state=state, files=files)))
        sync_all(temporary)
        known = {path.name: digest(path / _HEAD) for path in finished(folder)}
        known[target.name] = digest(temporary / _HEAD)
        run.record(stage, state="training", checkpoints=known)
        if target.exists():
            shutil.rmtree(target)
        os.replace(temporary, target)
        jsonl.sync_folder(folder)
        for old in finished(folder)[:-keep]:
            shutil.rmtree(old)
    world.wait()


def resume(
    engine: Any, folder: Path, fingerprint: str, world: World, *, run: Run, stage: str
) -> State | None:
    """Load the newest checkpoint that this run wrote and that is whole; None if there is none."""
    import torch

    recorded = run.read_manifest()["stages"].get(stage, {}).get("checkpoints", {})
    for path in reversed(finished(folder)):
        head = read_head(path, recorded.get(path.name))
        if head is None:
            talk(
                f"train: {path}: does not match what this run recorded; trying the one before",
                world,
            )
            continue
        refuse_if_other(head.state, fingerprint, world, folder)
        _, client = engine.load_checkpoint(str(path), tag=_TAG)
        torch.set_rng_state(client["rng"])
        return head.state
    return None


def refuse_if_other(state: State, fingerprint: str, world: World, folder: Path) -> None:
    """A checkpoint of other data, settings or processes cannot be continued."""
    way_out = f"remove {folder} to start this student again"
    if state.fingerprint != fingerprint:
        raise DistillError(
            f"{folder}: the kept traces, the start or the train settings changed since the checkpoint "
            f"at step {state.step}; {way_out}, or restore them"
        )
    if state.processes != world.size:
        raise DistillError(
            f"{folder}: the checkpoint at step {state.step} was written by {state.processes} process(es), "
            f"this is {world.size}; use {state.processes} again, or {way_out}"
        )


def read_head(path: Path, recorded: str | None) -> Head | None:
    """The head of a checkpoint, None unless the manifest knows it and every file matches its digest."""
    if recorded is None or digest(path / _HEAD) != recorded:
        return None
    head = msgspec.json.decode((path / _HEAD).read_bytes(), type=Head)
    found = {str(p.relative_to(path)) for p in files_of(path)} - {_HEAD}
    if found != head.files.keys():
        return None
    whole = all(digest(path / name) == sha256 for name, sha256 in head.files.items())
    return head if whole else None


def finished(folder: Path) -> list[Path]:
    """Checkpoints under their final names, oldest first."""
    return sorted(p for p in folder.glob("step-????????") if (p / _HEAD).is_file())


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
