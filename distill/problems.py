"""Problems: read from JSONL, from Hugging Face data sets, or made by the embedded world.

    sources = [ProblemSource(file="my.jsonl"),
               ProblemSource(dataset="openai/gsm8k", subset="main", columns={"prompt": "question"},
                             answer_after="####"),
               ProblemSource(world="train", count=2000)]
    for problem in load_problems(sources, on_bad=rejected.append): ...

A row that cannot be used is named ``file:line`` and set aside with its reason; the rest goes on. The
same id twice is one problem if the content is the same, else the later one is set aside.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from distill import jsonl
from distill.cards import ProblemSource
from distill.errors import DistillError, Missing, missing_extra
from distill.jsonl import OnBad
from distill.types import Gym, Kind, Message, Problem, Rejected, Tests, hash_id
from distill.world import world_problems

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

# Names under which public sets keep these columns; a recipe's `columns` come first.
USUAL_COLUMNS = {
    "prompt": ("prompt", "problem", "question"),
    "answer": ("answer", "gold", "final_answer"),
}


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A problem row before it is checked: ``answer`` stays raw, so that 0.50 is not read as 0.5."""

    id: msgspec.Raw = msgspec.Raw()
    prompt: str | list[Message] | None = None
    kind: Kind | None = None
    answer: msgspec.Raw = msgspec.Raw()
    source: str | None = None
    licence: str | None = None
    topic: str | None = None
    difficulty: float | None = None
    language: str | None = None
    choices: list[str] | None = None
    tests: Tests | None = None
    gym: Gym | None = None


def load_problems(sources: Iterable[ProblemSource], on_bad: OnBad) -> Iterator[Problem]:
    """The problems of all sources in order, each id once.

    Memory: 24 bytes of digests per problem and Python's set around them (about 120 bytes a problem,
    100 MB at 800,000). Raises `DistillError` for a missing file, a hub out of reach or a wrong column.
    """
    seen: dict[bytes, bytes] = {}
    count = 0
    for source in sources:
        for where, problem in _from_source(source, on_bad):
            key = hashlib.blake2b(problem.id.encode(), digest_size=12).digest()
            content = hashlib.blake2b(msgspec.json.encode(problem), digest_size=12).digest()
            known = seen.setdefault(key, content)
            if known != content:
                reason = f"id '{problem.id}' was used before for another problem"
                on_bad(Rejected(where=where, reason=reason))
            elif len(seen) > count:  # else the same problem twice is one problem
                count = len(seen)
                yield problem


def _from_source(source: ProblemSource, on_bad: OnBad) -> Iterator[tuple[str, Problem]]:
    if source.world is not None:
        found = world_problems(source.world, count=source.count or 1000, seed=source.seed)
        yield from ((problem.id, problem) for problem in found)
        return
    rows = _file_rows(Path(source.file)) if source.file else _dataset_rows(source)
    taken = 0
    for where, data in rows:
        if source.count is not None and taken >= source.count:
            return
        try:
            problem = _problem(data, source)
        except ValueError as error:
            shown = data[:2000].decode("utf-8", errors="replace")
            on_bad(Rejected(where=where, reason=str(error), row=shown))
            continue
        taken += 1
        yield where, problem


def _file_rows(path: Path) -> Iterator[tuple[str, bytes]]:
    return ((f"{path}:{line.number}", line.data) for line in jsonl.lines(path))


def _dataset_rows(source: ProblemSource) -> Iterator[tuple[str, bytes]]:
    """Rows of a Hugging Face data set as JSON, so that files and data sets take one path."""
    try:
        import datasets
    except ImportError:
        raise missing_extra("reading a Hugging Face data set", "all") from None

    name = str(source.dataset)
    try:
        if Path(name).is_dir() or ("/" in name and not Path(name).exists()):
            rows = datasets.load_dataset(
                name, source.subset, split=source.split, revision=source.revision
            )
        else:
            raise Missing(f"data set '{name}': no such folder, and not a hub id (OWNER/NAME)")
    except (OSError, ValueError) as error:
        first = str(error).splitlines()[0]
        raise DistillError(
            f"data set '{name}' (split '{source.split}') cannot be read: {first}; "
            "check the id, the split and the network, or give a local copy by 'file:'"
        ) from None
    for number, row in enumerate(rows):
        yield f"{name}/{source.split}:{number}", jsonl.encode(row)


def _problem(data: bytes, source: ProblemSource) -> Problem:
    """One checked problem. Raises ``ValueError`` with the reason."""
    row = jsonl.decode(_renamed(data, source.columns), Row)
    if not row.prompt:
        raise ValueError(
            "no prompt: the row has none of 'prompt', 'problem', 'question'; map it with 'columns:'"
        )
    kind: Kind = row.kind or source.kind or ("choice" if row.choices else "math")
    answer = _answer(row.answer, source.answer_after)
    if kind in ("math", "choice") and answer in (None, "", []):
        raise ValueError(f"no answer: kind '{kind}' needs one")
    if kind == "choice" and not row.choices:
        raise ValueError("kind 'choice' needs 'choices'")
    if row.choices and len(row.choices) > len(LETTERS):
        raise ValueError(f"{len(row.choices)} choices, and only {len(LETTERS)} letters")
    if not isinstance(row.prompt, str) and row.prompt[-1].role != "user":
        raise ValueError(f"the last message is the {row.prompt[-1].role}'s, not the user's")
    origin = row.source or source.source or _default_source(source)
    given = _text(row.id)
    return Problem(
        id=f"{origin}/{given}" if given else hash_id(origin, kind, row.prompt, row.choices),
        prompt=row.prompt,
        kind=kind,
        answer=answer,
        source=origin,
        licence=row.licence or source.licence,
        topic=row.topic,
        difficulty=row.difficulty,
        language=row.language or source.language,
        choices=row.choices,
        tests=row.tests,
        gym=row.gym,
    )


def _renamed(data: bytes, columns: Mapping[str, str]) -> bytes:
    """Give the columns our names without decoding their values (numbers keep their spelling)."""
    raw = jsonl.decode(data, dict[str, msgspec.Raw])
    for ours, theirs in columns.items():
        if theirs not in raw:
            raise ValueError(
                f"no column '{theirs}' (for '{ours}'); it has {', '.join(sorted(raw))}"
            )
        raw[ours] = raw[theirs]
    for ours, usual in USUAL_COLUMNS.items():
        if ours not in raw:
            found = next((name for name in usual if name in raw), None)
            if found:
                raw[ours] = raw[found]
    return msgspec.json.encode(raw)


def _text(raw: msgspec.Raw) -> str | None:
    """A JSON scalar as text: a string's content, a number's source text, null (or absent) as None."""
    if not bytes(raw):
        return None
    value = jsonl.decode(bytes(raw), object)
    if value is None or isinstance(value, str):
        return value
    return bytes(raw).decode().strip()


def _answer(raw: msgspec.Raw, after: str | None) -> str | list[str] | None:
    if bytes(raw).lstrip().startswith(b"["):
        items = msgspec.json.decode(raw, type=list[msgspec.Raw])
        return [plain for item in items if (plain := (_text(item) or "").strip())]
    text = _text(raw)
    if text is not None and after is not None:
        _, found, text = text.rpartition(after)
        if not found:
            raise ValueError(f"no '{after}' in the answer column ('answer_after' of the recipe)")
    return text.strip() if text is not None else None


def _default_source(source: ProblemSource) -> str:
    name = Path(source.file).name.split(".")[0] if source.file else str(source.dataset).rstrip("/")
    return name.split("/")[-1]


def render_prompt(problem: Problem, instruction: Mapping[Kind, str]) -> list[Message]:
    """The messages as a model is asked: choices as lettered lines, then the instruction's line.

    A chat prompt gets both on its last user message.
    """
    lines = []
    if problem.choices:
        lines += [
            f"{letter}. {choice}" for letter, choice in zip(LETTERS, problem.choices, strict=False)
        ]
    if instruction.get(problem.kind):
        lines.append(instruction[problem.kind])
    addition = "".join("\n" + line for line in lines)
    if isinstance(problem.prompt, str):
        return [Message(role="user", content=problem.prompt + addition)]
    *before, last = problem.prompt
    return [*before, msgspec.structs.replace(last, content=last.content + addition)]
