"""Reading what was written: trace segments joined with their verdicts, and think marks.

    for judged in read_judged(run.path):
        judged.trace.reasoning, judged.verdict        # verdict is None until it was judged

Traces lie in ``traces/SHARD/NNNNNN.jsonl``, their verdicts in the same place under ``verdicts/``. A
verdict file may judge an identity several times; the newest line wins. Memory: the verdicts of one
segment. A torn last line (a writer was killed) is skipped: the next append sets it aside.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from distill import jsonl
from distill.cards import Marks
from distill.errors import UnreadableRow
from distill.types import Identity, Trace, Verdict

T = TypeVar("T", Trace, Verdict)

STANDARD_MARKS = Marks()  # what students are trained with, whatever the teacher's card says


class Judged(NamedTuple):
    """A trace and the newest verdict on it, if any."""

    trace: Trace
    verdict: Verdict | None


class Split(NamedTuple):
    """A reply taken apart: what stood inside the think marks (None: no marks), what came after."""

    reasoning: str | None
    response: str


class Segment(NamedTuple):
    """One trace file and the verdict file beside it (which may not exist yet)."""

    traces: Path
    verdicts: Path


def segments(folder: Path) -> list[Segment]:
    """The segments below ``folder/traces``, by shard and number."""
    root = folder / "traces"
    return [
        Segment(path, folder / "verdicts" / path.relative_to(root))
        for path in sorted(root.glob("*/*.jsonl"))
    ]


def read_judged(folder: Path) -> Iterator[Judged]:
    """Every trace below a folder with its newest verdict, segment by segment; parts are joined."""
    for segment in segments(folder):
        yield from read_judged_segment(segment)


def read_judged_segment(segment: Segment) -> Iterator[Judged]:
    """As `read_judged`, for one segment."""
    verdicts = read_verdicts(segment.verdicts)
    parts: dict[Identity, Trace] = {}
    for trace in read_segment(segment.traces, Trace):
        if trace.part:
            parts[trace.identity] = join_parts(parts[trace.identity], trace)
        elif trace.finish == "length":
            parts[trace.identity] = trace  # a continuation may follow
        else:
            yield Judged(trace, verdicts.get(trace.identity))
    for identity, trace in parts.items():
        yield Judged(trace, verdicts.get(identity))


def read_verdicts(path: Path) -> dict[Identity, Verdict]:
    """The newest verdict per identity of one verdict segment; empty if there is none yet."""
    if not path.exists():
        return {}
    return {verdict.identity: verdict for verdict in read_segment(path, Verdict)}


def read_segment(path: Path, type_: type[T]) -> Iterator[T]:
    """Rows of one segment of our own; an unreadable one is an error unless it is the torn tail."""
    pending: UnreadableRow | None = None
    for line in jsonl.lines(path):
        if pending:
            raise pending
        try:
            yield jsonl.decode(line.data, type_)
        except ValueError as error:
            pending = UnreadableRow(
                f"{path}:{line.number}: {error}; the file was damaged after it was written: "
                "move it aside and run 'distill generate' again"
            )
    if pending and jsonl.ends_with_newline(path):
        raise pending


def join_parts(first: Trace, more: Trace) -> Trace:
    """A cut trace and its continuation as one: texts joined, tokens and seconds added."""
    thinking_ended = first.response != ""
    reasoning = (
        first.reasoning if thinking_ended else (first.reasoning or "") + (more.reasoning or "")
    )
    return msgspec.structs.replace(
        more,
        part=0,
        reasoning=reasoning,
        response=first.response + more.response,
        prompt_tokens=first.prompt_tokens,
        completion_tokens=first.completion_tokens + more.completion_tokens,
        seconds=first.seconds + more.seconds,
    )


def split_reasoning(text: str, marks: Marks) -> Split:
    """Take a raw reply apart at its think marks.

    Text with an opening mark and no closing one is all reasoning: it was cut. Text with only a
    closing mark was opened by the template. The one newline that joins marks and text is not kept.
    """
    body = text.lstrip()
    opened = marks.opened or body.startswith(marks.open)
    if body.startswith(marks.open):
        body = body[len(marks.open) :]
    inside, closed, after = body.partition(marks.close)
    if not closed:
        return tidy(body, "") if opened else Split(None, text.strip())
    return tidy(inside, after)


def tidy(inside: str, after: str) -> Split:
    """Reasoning and response as `Trace` holds them: without the newlines that join marks and text."""
    return Split(_strip_newline(inside), after.strip())


def join_reasoning(reasoning: str | None, response: str, marks: Marks = STANDARD_MARKS) -> str:
    """The inverse of `split_reasoning`, as a student is taught to write it."""
    if reasoning is None:
        return response
    return f"{marks.open}\n{reasoning}\n{marks.close}\n\n{response}"


def _strip_newline(text: str) -> str:
    return text.removeprefix("\n").removesuffix("\n")
