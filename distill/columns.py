r"""How a row of anybody's problem set becomes a row of ours: which rows, which columns, which answer.

    raw = jsonl.decode(b'{"q": "2+2?", "sol": "so \\boxed{4}", "meta": {"ok": "Yes"}}', Raws)
    how = ProblemSource(columns={"prompt": "q", "answer": "sol"}, answer_in="boxed", where={"meta.ok": "Yes"})
    left_out(raw, how)                             # None: chosen
    renamed(raw, how)["prompt"]                    # b'"2+2?"'
    answer(renamed(raw, how)["answer"], how, 0)    # "4"

Values stay JSON text until they are used: 0.50 is not read as 0.5. Nothing is guessed: a column that
is named and not there is an error, and what cannot be read says why.
"""

import hashlib

import msgspec

from distill import jsonl
from distill.cards import RowMap, Value
from distill.latex import boxed

Raws = dict[str, msgspec.Raw]

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

# Names under which public sets keep these columns; a recipe's or card's `columns` come first.
USUAL = {
    "prompt": ("prompt", "problem", "question"),
    "answer": ("answer", "gold", "final_answer"),
}
_NULL = msgspec.Raw(b"null")


def left_out(raw: Raws, source: RowMap) -> str | None:
    """The first column whose value a source did not choose; None for a row that is chosen."""
    for conditions, chosen in ((source.where, True), (source.where_not, False)):
        for name, wanted in conditions.items():
            if wanted is None:
                continue
            values = wanted if isinstance(wanted, list) else [wanted]
            if _is_one_of(jsonl.decode(_at(raw, name), object), values) != chosen:
                return name
    return None


def _is_one_of(value: object, wanted: list[Value]) -> bool:
    """Equal as JSON: ``true`` is not 1."""
    return any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in wanted)


def renamed(raw: Raws, source: RowMap) -> Raws:
    """The columns under our names, their values still undecoded.

    With a mapping of somebody's set (`named_only`), a column that merely has a name of ours is not taken:
    the ``source`` or ``difficulty`` of a public set is rarely what ours means.
    """
    ours = {} if named_only(source) else dict(raw)
    for name, theirs in source.columns.items():
        if theirs is None:
            ours.pop(name, None)
        elif isinstance(theirs, str):
            ours[name] = _at(raw, theirs, name)
        else:
            ours[name] = _joined([_at(raw, one, name) for one in theirs], name)
    for name, usual in USUAL.items():
        if name not in ours and name not in source.columns:
            found = next((column for column in usual if column in raw), None)
            if found:
                ours[name] = raw[found]
    return _shuffled(ours) if source.answer_in == "first" else ours


def _shuffled(ours: Raws) -> Raws:
    """The choices in an order that a hash of the problem decides, and the letter of what stood first.

    Asked as they stand, the right answer would always be A, and a model could learn that.
    """
    choices = msgspec.json.decode(ours.get("choices", _NULL), type=list[msgspec.Raw] | None)
    if not choices:
        raise ValueError("answer_in: first needs 'choices', the right one first")
    prompt = text(ours.get("prompt", _NULL))
    order = sorted(
        range(len(choices)),
        key=lambda index: hashlib.sha256(f"{prompt}\n{text(choices[index])}".encode()).digest(),
    )
    shuffled = b",".join(bytes(choices[index]) for index in order)
    letter = LETTERS[order.index(0)] if len(choices) <= len(LETTERS) else ""
    return {
        **ours,
        "choices": msgspec.Raw(b"[" + shuffled + b"]"),
        "answer": msgspec.Raw(msgspec.json.encode(letter)),
    }


def named_only(source: RowMap) -> bool:
    """Whether only the columns that a source names are taken: its rows are a public set's, not ours."""
    return getattr(source, "card", None) is not None and source.gym is None


def needed(source: RowMap) -> set[str]:
    """The top-level columns that a source with a card can use: the rest need not be read at all."""
    names = {
        *source.where,
        *source.where_not,
        *(column for usual in USUAL.values() for column in usual),
    }
    for theirs in source.columns.values():
        names |= {theirs} if isinstance(theirs, str) else set(theirs or ())
    return names | {name.split(".")[0] for name in names}


def _at(raw: Raws, path: str, ours: str | None = None) -> msgspec.Raw:
    """A column by name, else by a path into nested objects and lists: ``reward.gold``, ``messages.0``."""
    if path in raw:
        return raw[path]
    first, *steps = path.split(".")
    found = raw.get(first)
    for step in steps:
        if found is None:
            break
        if bytes(found).lstrip().startswith(b"["):
            items = msgspec.json.decode(found, type=list[msgspec.Raw])
            found = items[int(step)] if step.isdecimal() and int(step) < len(items) else None
        elif bytes(found).lstrip().startswith(b"{"):
            found = msgspec.json.decode(found, type=Raws).get(step)
        else:
            found = None
    if found is None:
        purpose = f" (for '{ours}')" if ours else ""
        raise ValueError(f"no column '{path}'{purpose}; it has {', '.join(sorted(raw))}")
    return found


def _joined(values: list[msgspec.Raw], name: str) -> msgspec.Raw:
    """Several columns as one: choices as a list, everything else as the lines of one text."""
    if name == "choices":
        return msgspec.Raw(b"[" + b",".join(bytes(value) for value in values) + b"]")
    texts = [text(value) for value in values]
    return msgspec.Raw(msgspec.json.encode("\n".join(one for one in texts if one)))


def text(raw: msgspec.Raw) -> str | None:
    """A JSON scalar as text: a string's content, a number's source text, null (or absent) as None."""
    if not bytes(raw):
        return None
    value = jsonl.decode(bytes(raw), object)
    if value is None or isinstance(value, str):
        return value
    return bytes(raw).decode().strip()


def answer(raw: msgspec.Raw, source: RowMap, choices: int) -> str | list[str] | None:
    """The answer (or answers) as a source finds it in its column. Raises ``ValueError`` with the reason."""
    if bytes(raw).lstrip().startswith(b"["):
        items = msgspec.json.decode(raw, type=list[msgspec.Raw])
        found = [_found(text(item), source, choices) for item in items]
        return [one for one in found if one]
    return _found(text(raw), source, choices)


def _found(said: str | None, source: RowMap, choices: int) -> str | None:
    if said is None:
        return None
    if source.answer_after is not None:
        _, mark, said = said.rpartition(source.answer_after)
        if not mark:
            raise ValueError(f"no answer: its column has no '{source.answer_after}'")
    elif source.answer_in == "boxed":
        boxes = boxed(said)
        if not boxes:
            raise ValueError("no answer: its column has no \\boxed{}")
        said = boxes[-1]
    elif source.answer_in == "index":
        if not said.isdecimal() or int(said) >= min(choices, len(LETTERS)):
            raise ValueError(f"answer {said} is no index (from 0) of {choices} choices")
        said = LETTERS[int(said)]
    said = said.strip()
    if said.casefold() in (word.casefold() for word in source.no_answer or ()):
        raise ValueError(f"no answer: the row says '{said}'")
    return said
