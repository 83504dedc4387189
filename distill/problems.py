"""Problems: read from JSONL, from Hugging Face data sets, or made by the embedded world or reasoning-gym.

    sources = [ProblemSource(file="my.jsonl"),
               ProblemSource(card="gsm8k", count=2000),
               ProblemSource(dataset="openai/gsm8k", subset="main", answer_after="####"),
               ProblemSource(world="train", count=2000)]
    for problem in load_problems(sources, on_bad=rejected.append, on_count=print): ...

A row that cannot be used is named ``file:line`` and set aside with its reason; a row that a source's
``where`` does not choose is counted; the rest goes on. The same id twice is one problem if the content is
the same, else the later one is set aside. What is here decides which rows count: `distill.columns` maps
them, `distill.problemsets` reads their tests, `distill.gym` makes those of reasoning-gym.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from distill import columns, jsonl
from distill.cards import ProblemSource, resolve
from distill.columns import LETTERS, Raws
from distill.errors import DistillError, Missing, missing_extra
from distill.gym import gym_rows
from distill.jsonl import OnBad
from distill.problemsets import read_tests
from distill.types import Gym, Kind, Message, Problem, Rejected, Tests, hash_id
from distill.world import world_problems


class Counted(msgspec.Struct):
    """What became of the rows of one source: each is in exactly one of the figures."""

    source: str
    rows: int = 0
    problems: int = 0
    repeated: int = 0
    rejected: int = 0
    not_chosen: Counter[str] = msgspec.field(default_factory=Counter)  # by the column that decided

    def __str__(self) -> str:
        parts = [f"{self.problems:,} problems"]
        if self.not_chosen:
            columns = ", ".join(f"{name} {n:,}" for name, n in self.not_chosen.most_common())
            parts.append(f"{self.not_chosen.total():,} not chosen ({columns})")
        parts += [
            f"{count:,} {word}"
            for count, word in ((self.rejected, "rejected"), (self.repeated, "repeated"))
            if count
        ]
        return f"{self.source}: {self.rows:,} rows → {', '.join(parts)}"


# What stands before and between the letters of an answer to a choice: "option C", "A and D", "(A)(D)".
_OPTION = re.compile(
    r"^\s*(?:the\s+)?(?:options?|choices?|answers?)\b\s*(?:is|are|:)?", re.IGNORECASE
)
_BETWEEN = re.compile(r"[\s(){}\[\]$.,;:&、，；和与及]|\\(?:text|textbf|mathrm)\b|\band\b")

OnCount = Callable[[Counted], object]


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


def load_problems(
    sources: Iterable[ProblemSource], on_bad: OnBad, on_count: OnCount | None = None
) -> Iterator[Problem]:
    """The problems of all sources in order, each id once; ``on_count`` hears of each source at its end.

    Memory: 24 bytes of digests per problem and Python's set around them (about 120 bytes a problem,
    100 MB at 800,000). Raises `DistillError` for a missing file, a hub out of reach or a wrong card.
    """
    seen: dict[bytes, bytes] = {}
    for source in map(resolve, sources):
        counted = Counted(_name(source))
        for where, problem in _from_source(source, on_bad, counted):
            key = hashlib.blake2b(problem.id.encode(), digest_size=12).digest()
            content = hashlib.blake2b(msgspec.json.encode(problem), digest_size=12).digest()
            known = seen.get(key)
            if known is None:
                seen[key] = content
                counted.problems += 1
                yield problem
            elif known == content:  # the same problem twice is one problem
                counted.repeated += 1
            else:
                counted.rejected += 1
                reason = f"id '{problem.id}' was used before for another problem"
                on_bad(Rejected(where=where, reason=reason))
        told = counted.problems + counted.repeated + counted.rejected + counted.not_chosen.total()
        assert told == counted.rows, f"{told=} {counted=}"
        if on_count is not None:
            on_count(counted)


def _from_source(
    source: ProblemSource, on_bad: OnBad, counted: Counted
) -> Iterator[tuple[str, Problem]]:
    """Each usable row with where it stood; `count` limits these."""
    if source.world is not None:
        for problem in world_problems(source.world, count=source.count or 1000, seed=source.seed):
            counted.rows += 1
            yield problem.id, problem
        return
    taken = 0
    for where, data in _rows(source):
        counted.rows += 1
        try:
            raw = jsonl.decode(data, Raws)
            column = columns.left_out(raw, source)
            usable = None if column else _problem(raw, source)
        except ValueError as error:
            counted.rejected += 1
            shown = data[:2000].decode("utf-8", errors="replace")
            on_bad(Rejected(where=where, reason=str(error), row=shown))
            continue
        if usable is None:
            counted.not_chosen[str(column)] += 1
            continue
        yield where, usable
        taken += 1
        if taken == source.count:
            return


def _rows(source: ProblemSource) -> Iterator[tuple[str, bytes]]:
    """Rows as JSON with where they stand, so that files, data sets and generators take one path."""
    if source.file is not None:
        return _file_rows(Path(source.file))
    return _dataset_rows(source) if source.gym is None else gym_rows(source)


def _file_rows(path: Path) -> Iterator[tuple[str, bytes]]:
    return ((f"{path}:{line.number}", line.data) for line in jsonl.lines(path))


def _dataset_rows(source: ProblemSource) -> Iterator[tuple[str, bytes]]:
    """Rows of a Hugging Face data set; with a card, only the columns that it can use are read."""
    try:
        import datasets
    except ImportError:
        raise missing_extra("reading a Hugging Face data set", "data") from None

    name, split = str(source.dataset), source.split or "train"
    try:
        if Path(name).is_dir() or ("/" in name and not Path(name).exists()):
            rows = datasets.load_dataset(name, source.subset, split=split, revision=source.revision)
        else:
            raise Missing(f"data set '{name}': no such folder, and not a hub id (OWNER/NAME)")
    except (OSError, ValueError) as error:
        first = str(error).splitlines()[0]
        raise DistillError(
            f"data set '{name}' (split '{split}') cannot be read: {first}; "
            "check the id, the split and the network, or give a local copy by 'file:'"
        ) from None
    if columns.named_only(source):  # the traces beside the problems of some sets are gigabytes
        rows = rows.select_columns([c for c in rows.column_names if c in columns.needed(source)])
    for number, row in enumerate(rows):
        yield f"{name}/{split}:{number}", jsonl.encode(row)


def _problem(raw: Raws, source: ProblemSource) -> Problem:
    """One checked problem. Raises ``ValueError`` with the reason."""
    ours = columns.renamed(raw, source)
    tests = read_tests(source.tests, ours) if source.tests else None
    if tests:
        ours["tests"] = msgspec.Raw(msgspec.json.encode(tests.tests))
    row = jsonl.decode(msgspec.json.encode(ours), Row)
    kind: Kind = row.kind or source.kind or ("choice" if row.choices else "math")
    answer = columns.answer(row.answer, source, len(row.choices or ()))
    prompt = _prompt(row, tests.shown if tests else "")
    _check(row, kind, answer)
    origin = source.source if columns.named_only(source) else row.source or source.source
    origin = origin or _name(source)
    given = columns.text(row.id)
    return Problem(
        id=f"{origin}/{given}" if given else hash_id(origin, kind, prompt, row.choices),
        prompt=prompt,
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


def _prompt(row: Row, shown: str) -> str | list[Message]:
    """The row's prompt, and below it what a set shows of its tests."""
    if not row.prompt:
        raise ValueError(
            "no prompt: the row has none of 'prompt', 'problem', 'question'; map it with 'columns:'"
        )
    if isinstance(row.prompt, str):
        return row.prompt + shown
    if row.prompt[-1].role != "user":
        raise ValueError(f"the last message is the {row.prompt[-1].role}'s, not the user's")
    *before, last = row.prompt
    return [*before, msgspec.structs.replace(last, content=last.content + shown)]


def _check(row: Row, kind: Kind, answer: str | list[str] | None) -> None:
    """Refuse what could never be judged."""
    if kind in ("math", "choice") and answer in (None, "", []):
        raise ValueError(f"no answer: kind '{kind}' needs one")
    if kind == "choice" and not row.choices:
        raise ValueError("kind 'choice' needs 'choices'")
    if row.choices and len(row.choices) > len(LETTERS):
        raise ValueError(f"{len(row.choices)} choices, and only {len(LETTERS)} letters")
    if kind == "choice":
        for one in answer if isinstance(answer, list) else [str(answer)]:
            _require_choice(one, row.choices or [])
    if kind == "code" and row.tests is None:
        raise ValueError("kind 'code' needs 'tests'")
    if kind == "gym" and row.gym is None:
        raise ValueError("kind 'gym' needs 'gym'")


def _require_choice(answer: str, choices: list[str]) -> None:
    """Refuse an answer that is neither one or several letters of the choices nor the text of one."""
    offered = LETTERS[: len(choices)]
    said = _OPTION.sub("", answer).strip()
    begun = re.match(r"\(?([A-Z])[).:．：、]\s*\S", said)  # "C. 7", "(C) 7"
    letters = _BETWEEN.sub("", said)
    if len(letters) == 1:
        letters = letters.upper()
    named = letters and set(letters) <= set(offered) and len(set(letters)) == len(letters)
    if named or (begun and begun[1] in offered):
        return
    if any(_bare(choice) == _bare(answer) for choice in choices):
        return
    hint = ""
    if answer.isdecimal() and int(answer) < len(choices):
        hint = "; if it counts from 0, say 'answer_in: index'"
    raise ValueError(
        f"answer '{answer[:80]}' is neither a letter (A to {offered[-1]}) nor the text of a choice{hint}"
    )


def _bare(text: str) -> str:
    return re.sub(r"[\s$]+|\\text|[{}]", "", text).rstrip(".").casefold()


def _name(source: ProblemSource) -> str:
    """What a source is called: what its problems say that they come from, unless a row says it."""
    if source.source:
        return source.source
    if source.world or source.gym:
        return f"world {source.world}" if source.world else "reasoning-gym"
    if source.file:
        return Path(source.file).name.split(".")[0]
    return str(source.dataset).rstrip("/").split("/")[-1]


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
