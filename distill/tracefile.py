"""Reading any JSONL file of model answers as problems and traces, whoever wrote it.

    for row in read_trace_file(Path("answers.jsonl.zst"), kind="math", on_bad=rejected.append):
        row.problem.answer, row.trace.reasoning, row.trace.response, row.given_id, row.extra

A row needs ``response`` or ``text``, and ``answer`` (or ``gold``) where its kind is checked by one:

    {"id": 7, "problem": "1/2 of 1?", "answer": 0.50, "response": "<think>half</think>\\\\boxed{1/2}"}

A number as answer becomes its JSON source text, so 0.50 stays "0.50". Where ``reasoning`` is absent the
text is split at the think marks of common models. Identity: ``problem_id`` and ``sample`` if the row has
them; else ``problem_id`` is its ``id`` as text and ``sample`` counts how often that came before in the
file; else the hash of kind, prompt and choices stands for the id. Columns that are not known here are
handed on as they are. Memory: one row, and about 150 bytes for each id whose samples are counted.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from distill import jsonl
from distill.cards import Marks
from distill.jsonl import OnBad
from distill.traces import Split, split_reasoning
from distill.types import (
    KINDS,
    Finish,
    Gym,
    Kind,
    Message,
    Problem,
    Rejected,
    Tests,
    Trace,
    hash_id,
)

T = TypeVar("T")

STYLES = [
    Marks(open="<think>", close="</think>"),  # DeepSeek, Qwen and most that followed
    Marks(open="<|begin_of_thought|>", close="<|end_of_thought|>"),  # Sky-T1
    Marks(open="[THINK]", close="[/THINK]"),  # Magistral
    Marks(open="<thinking>", close="</thinking>"),
]
SOLUTION = Marks(open="<|begin_of_solution|>", close="<|end_of_solution|>")

PROMPT = ("problem", "prompt", "question")
ANSWER = ("answer", "gold")
FINISH = ("finish", "finish_reason")
KNOWN = {
    *("id", "problem_id", "sample", "series", "source", "model", "kind", "choices", "tests", "gym"),
    *(
        "response",
        "text",
        "reasoning",
        "truncated",
        "seconds",
        "prompt_tokens",
        "completion_tokens",
    ),
    *(*PROMPT, *ANSWER, *FINISH),
}

# What servers and libraries call the ways in which a reply ends. What is not here reads as "stop".
FINISHES: dict[str, Finish] = {
    "length": "length",
    "max_tokens": "length",
    "content_filter": "filtered",
    "filtered": "filtered",
    "abort": "aborted",
    "aborted": "aborted",
    "repetition": "repetition",
}

Row = dict[str, msgspec.Raw]


class FileRow(NamedTuple):
    """One row as distill sees it, its ``id`` as JSON source, the columns that are not ours, and
    ``file:line``."""

    problem: Problem
    trace: Trace
    given_id: msgspec.Raw | None
    extra: Row
    where: str


def read_trace_file(path: Path, *, kind: Kind = "math", on_bad: OnBad) -> Iterator[FileRow]:
    """The rows of a file in order; ``kind`` is for rows that name none.

    A row that cannot be used goes to ``on_bad`` as ``file:line`` with its reason.
    """
    came_before: Counter[str] = Counter()
    for line in jsonl.lines(path):
        try:
            row = jsonl.decode(line.data, Row)
            yield _file_row(row, kind, path, line.number, came_before)
        except ValueError as error:
            shown = line.data[:2000].decode("utf-8", errors="replace")
            on_bad(Rejected(where=f"{path}:{line.number}", reason=str(error), row=shown))


def _file_row(
    row: Row, default: Kind, path: Path, number: int, came_before: Counter[str]
) -> FileRow:
    """Raises ``ValueError`` with the reason why a row cannot be used."""
    problem = _problem(row, default, path)
    split = _split(row)
    sample = _get(row, "sample", int) if "problem_id" in row else None
    if sample is None:
        sample = came_before[problem.id]
        came_before[problem.id] += 1
    elif not 0 <= sample < 1 << 31:
        raise ValueError(f"column 'sample': {sample} is not a count from 0 up")
    trace = Trace(
        series=_get(row, "series", str) or "",
        problem_id=problem.id,
        sample=sample,
        model=_get(row, "model", str) or "",
        reasoning=split.reasoning,
        response=split.response,
        finish=_finish(row),
        prompt_tokens=_get(row, "prompt_tokens", int) or 0,
        completion_tokens=_get(row, "completion_tokens", int) or 0,
        seconds=_get(row, "seconds", float) or 0.0,
    )
    extra = {name: value for name, value in row.items() if name not in KNOWN}
    return FileRow(problem, trace, row.get("id"), extra, f"{path}:{number}")


def _problem(row: Row, default: Kind, path: Path) -> Problem:
    kind = _kind(_get(row, "kind", str), default)
    column = _first(row, PROMPT)
    prompt = (_get(row, column, str | list[Message]) if column else None) or ""  # type: ignore[arg-type]
    choices = _get(row, "choices", list[str])
    answer = _answer(row)
    if kind in ("math", "choice") and not answer:
        raise ValueError(f"no answer: kind '{kind}' needs 'answer' (or 'gold')")
    tests, gym = _get(row, "tests", Tests), _get(row, "gym", Gym)  # type: ignore[arg-type]
    if kind == "code" and tests is None:
        raise ValueError("kind 'code' needs 'tests'")
    if kind == "gym" and gym is None:
        raise ValueError("kind 'gym' needs 'gym'")
    source = _source(row, path)
    given = _text(row.get("problem_id")) or _text(row.get("id"))
    return Problem(
        id=given or hash_id(source, kind, prompt, choices),
        prompt=prompt,
        kind=kind,
        answer=answer,
        source=source,
        choices=choices,
        tests=tests,
        gym=gym,
    )


def _split(row: Row) -> Split:
    """Reasoning and response, from the columns or from the marks in the text."""
    text = _get(row, "response", str)
    text = _get(row, "text", str) if text is None else text
    if text is None:
        raise ValueError("no 'response' and no 'text'")
    reasoning = _get(row, "reasoning", str)
    return Split(reasoning, text) if reasoning is not None else split_common(text)


def split_common(text: str) -> Split:
    """Take a text apart at the first think marks of a common style that it holds."""
    style = next((marks for marks in STYLES if marks.open in text or marks.close in text), None)
    if style is None:
        return Split(None, text)
    reasoning, response = split_reasoning(text, style)
    return Split(reasoning, _solution(response))


def _solution(response: str) -> str:
    """What stands between Sky-T1's solution marks, else the text."""
    _, opened, inside = response.partition(SOLUTION.open)
    return (inside if opened else response).partition(SOLUTION.close)[0].strip()


def _kind(given: str | None, default: Kind) -> Kind:
    for kind in KINDS:
        if kind == (given or default):
            return kind
    raise ValueError(f"unknown kind '{given}'; known: {', '.join(KINDS)}")


def _finish(row: Row) -> Finish:
    column = _first(row, FINISH)
    named = _get(row, column, str) if column else None
    if named is None and _get(row, "truncated", bool):
        return "length"
    return FINISHES.get(named or "stop", "stop")


def _source(row: Row, path: Path) -> str:
    """The row's ``source`` where it is a text, else the file's name."""
    given = row.get("source")
    value = msgspec.json.decode(given) if given is not None else None
    return value if isinstance(value, str) and value else path.name.split(".")[0]


def _answer(row: Row) -> str | list[str] | None:
    column = _first(row, ANSWER)
    if column is None:
        return None
    if bytes(row[column]).lstrip().startswith(b"["):
        items = msgspec.json.decode(row[column], type=list[msgspec.Raw])
        return [text for item in items if (text := _text(item))]
    return _text(row[column])


def _first(row: Row, columns: tuple[str, ...]) -> str | None:
    """The first of some columns that the row has and that is not null."""
    return next((name for name in columns if not _is_null(row.get(name))), None)


def _is_null(raw: msgspec.Raw | None) -> bool:
    return raw is None or bytes(raw).strip() == b"null"


def _text(raw: msgspec.Raw | None) -> str | None:
    """A JSON scalar as text: a string's content, anything else its source; null is None."""
    if raw is None or _is_null(raw):
        return None
    source = bytes(raw).strip()
    return (
        msgspec.json.decode(source, type=str).strip()
        if source.startswith(b'"')
        else source.decode()
    )


def _get(row: Row, name: str, type_: type[T]) -> T | None:
    """A column as its type; absent and null are None."""
    raw = row.get(name)
    if raw is None or _is_null(raw):
        return None
    try:
        return msgspec.json.decode(raw, type=type_)
    except msgspec.DecodeError as error:
        raise ValueError(f"column '{name}': {error}") from None
