"""The shelves of cards as the terminal shows them, and one card as it stands in its file.

    print(shelf_text(all_cards()))

    teachers
      name       parameters      licence     needs             revision
      qwq-32b    32.8B           Apache-2.0  2 GPUs of 80 GB   not pinned
      ...

A working copy of a card: ``distill cards teachers/endpoint > mine.yaml``; paths that are relative to the
card are printed in full, since a copy lies elsewhere.
"""

import json
import re
from collections.abc import Iterable
from typing import NamedTuple

from distill.cards import Benchmark, Card, Found, ProblemCard, Shelf, Student, Teacher, resolve

# A model or tokenizer that lies beside its card.
_RELATIVE = re.compile(r"^(\s*(?:model|tokenizer):\s*)(\.\.?/[^\s#]+)", re.MULTILINE)

SIZES = {"teachers": "parameters", "students": "parameters", "eval": "samples", "sources": "rows"}


class Line(NamedTuple):
    """One card, in words."""

    name: str
    size: str
    licence: str
    needs: str
    revision: str


def shelf_text(found: Iterable[tuple[Shelf, Found]]) -> str:
    """Every card, a table for each shelf."""
    shelves: dict[Shelf, list[Line]] = {}
    for shelf, (card, _) in found:
        head = Line("name", SIZES[shelf], "licence", "needs", "revision")
        shelves.setdefault(shelf, [head]).append(line_of(card))
    every = [line for lines in shelves.values() for line in lines]
    widths = [max(len(line[column]) for line in every) for column in range(len(Line._fields))]
    blocks = []
    for shelf, lines in shelves.items():
        cells = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            for line in lines
        ]
        blocks.append("\n".join([shelf, *(f"  {row}".rstrip() for row in cells)]))
    return "\n\n".join(blocks)


def line_of(card: Card) -> Line:
    needs = "; ".join([*_machines(card), *(["gated access"] if card.access else [])])
    return Line(card.name, _size(card), card.licence or "-", needs or "-", _revision(card))


def _size(card: Card) -> str:
    match card:
        case Teacher():
            active = f" ({short(card.active_parameters)} active)" if card.active_parameters else ""
            return f"{short(card.parameters)}{active}" if card.parameters else "-"
        case Student():
            return short(card.parameters) if card.parameters else "-"
        case Benchmark():
            return f"{card.samples} a problem"
        case ProblemCard():
            return f"{sum(card.rows.values()):,}" if card.rows else "-"


def _machines(card: Card) -> list[str]:
    """What must be there to serve a model; nothing for a set of problems."""
    if not isinstance(card, Teacher | Student):
        return []
    said = []
    if isinstance(card, Teacher) and card.endpoint is not None:
        said.append("an endpoint")
    elif card.serve.gpus:
        said.append(f"{card.serve.gpus} GPU{'s' if card.serve.gpus > 1 else ''} of 80 GB to serve")
    else:
        said.append("a CPU will do")
    if isinstance(card, Teacher) and card.price_per_million_tokens is not None:
        said.append(f"{card.price_per_million_tokens:g} a million tokens")
    return said


def _revision(card: Card) -> str:
    """The first eight digits of what a card is pinned to; ``-`` where there is nothing to pin."""
    if isinstance(card, Benchmark):
        source = resolve(card.problems)
        named, revision = source.dataset, source.revision
    elif isinstance(card, ProblemCard):
        named, revision = card.dataset, card.revision
    else:
        named, revision = card.model, card.revision
    if revision:
        return revision[:8]
    return "not pinned" if named and not named.startswith(".") else "-"


def short(count: int | None) -> str:
    """``671.0B``, ``1.5M``."""
    if not count:
        return "-"
    return f"{count / 1e9:.1f}B" if count >= 1e9 else f"{count / 1e6:.1f}M"


def card_text(found: Found) -> str:
    """A card's file with its comments, its relative paths made absolute so that a copy works anywhere."""
    folder = found.path.parent

    def full(match: re.Match[str]) -> str:
        path = str((folder / match[2]).resolve())
        return match[1] + (path if re.fullmatch(r"[\w./-]+", path) else json.dumps(path))

    return _RELATIVE.sub(full, found.path.read_text(encoding="utf-8-sig")).rstrip("\n")
