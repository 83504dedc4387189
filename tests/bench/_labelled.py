"""Answers with a label that somebody gave: our own pairs, and those under ``DISTILL_TEST_DATA``.

    for answer in labelled("traces_sky_t1", limit=100):
        answer.problem, answer.trace, answer.label      # "equal", "unequal" or "no_answer"

A pair (gold, answer) is put to a checker as a response: as it stands if it brings delimiters of its own
(``\\boxed``, ``$``, ``\\[``, ``\\(``), else as ``\\boxed{answer}``. A label by a program is a lead, no proof.
"""

import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from distill import jsonl
from distill.tracefile import split_common
from distill.types import Gym, Problem, Trace

PAIRS = Path(__file__).parents[1] / "verify" / "pairs.jsonl"
FILES = {
    "pairs": None,
    "curated_tests": "answer_equivalence/curated_tests.jsonl",
    "auto_graded": "answer_equivalence/auto_graded.jsonl",
    "traces_sky_t1": "traces_sky_t1/traces.jsonl.zst",
    "gen_short_cot": "gen_short_cot/generations.jsonl.zst",
    "gsm8k_model_solutions": "gsm8k_model_solutions/solutions.jsonl.zst",
    "rg_answers_reasoners": "rg_answers_reasoners/answers.jsonl.zst",
}
DELIMITERS = ("\\boxed", "\\fbox", "$", "\\[", "\\(")


Label = Literal["equal", "unequal", "no_answer"]


class Labelled(NamedTuple):
    """One answer: the set, the part of it (family, data set, task), and its label. Of ``no_answer`` it is
    said that the response commits itself to none: it must not be accepted either."""

    set: str
    part: str
    id: str
    problem: Problem
    trace: Trace
    label: Label

    @property
    def equal(self) -> bool:
        return self.label == "equal"


def data_folder() -> Path | None:
    """Where the real data lies, if it does."""
    folder = os.environ.get("DISTILL_TEST_DATA", "")
    return Path(folder) if folder and Path(folder).is_dir() else None


def path_of(name: str) -> Path | None:
    """The file of a set, or None where it is absent."""
    folder = data_folder()
    path = PAIRS if name == "pairs" else folder / str(FILES[name]) if folder else None
    return path if path is not None and path.exists() else None


def labelled(name: str, limit: int | None = None) -> list[Labelled]:
    """A set in its order, or a seeded sample of it; empty where the file is absent."""
    path = path_of(name)
    rows = list(_rows(name, path)) if path else []
    if limit is not None and limit < len(rows):
        chosen = sorted(random.Random(0).sample(range(len(rows)), limit))
        rows = [rows[index] for index in chosen]
    return rows


def _rows(name: str, path: Path) -> Iterator[Labelled]:
    read = _pair if name in ("pairs", "curated_tests", "auto_graded") else _READERS[name]
    for line in jsonl.lines(path):
        row: dict[str, Any] = msgspec.json.decode(line.data)
        made = read(name, row)
        if made is not None:
            part, problem, response, label = made
            identity = str(row.get("id", line.number))
            problem = msgspec.structs.replace(problem, id=identity)
            trace = Trace(
                series=name,
                problem_id=identity,
                sample=0,
                response=response,
                finish="length" if row.get("truncated") else "stop",
            )
            yield Labelled(name, part, identity, problem, trace, label)


Made = tuple[str, Problem, str, Label] | None


def as_response(answer: str) -> str:
    return answer if any(mark in answer for mark in DELIMITERS) else f"\\boxed{{{answer}}}"


def _label(equal: bool) -> Label:
    return "equal" if equal else "unequal"


def _pair(name: str, row: dict[str, Any]) -> Made:
    gold, choices, expected = row["gold"], row.get("choices"), row["expected"]
    response = row["response"] if "response" in row else as_response(str(row["pred"]))
    problem = Problem(
        id="",
        prompt="",
        kind=row.get("kind") or ("choice" if choices else "math"),
        answer=gold if isinstance(gold, list) else str(gold),
        choices=choices,
    )
    part = str(row.get("family") or row.get("group") or "all")
    return part, problem, response, _label(expected) if isinstance(expected, bool) else expected


def _trace(name: str, row: dict[str, Any]) -> Made:
    if not row["gold"]:
        return None
    problem = Problem(id="", prompt="", answer=row["gold"])
    return row["dataset"], problem, split_common(row["response"]).response, _label(row["correct"])


def _gsm8k(name: str, row: dict[str, Any]) -> Made:
    gold = row["gold_solution"].rpartition("A:")[2].strip()
    return (
        row["model"],
        Problem(id="", prompt="", answer=gold),
        row["response"],
        _label(row["correct"]),
    )


def _gym(name: str, row: dict[str, Any]) -> Made:
    entry = {"question": row["question"], "answer": row["gold"], "metadata": {}}
    gym = Gym(task=row["task"], entry=json.dumps(entry))
    problem = Problem(id="", prompt="", kind="gym", answer=row["gold"], gym=gym)
    return row["task"], problem, row["response"] or "", _label(row["score"] == 1.0)


_READERS = {
    "traces_sky_t1": _trace,
    "gen_short_cot": _trace,
    "gsm8k_model_solutions": _gsm8k,
    "rg_answers_reasoners": _gym,
}
