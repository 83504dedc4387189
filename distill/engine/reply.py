"""Reading what an OpenAI-compatible server sends: answers, model lists, and what its errors say.

    said = read_chat(body)               # Said(text="", reasoning="7 + 5 =", finish="length", …)
    read_refusal(message, code)          # Fits(524), "too_long", "rename" or None

Servers agree on little beyond OpenAI's own fields, so that unknown fields are ignored and absent ones
are nothing. What does not read at all is a `ValueError`, for the caller to treat as a failed attempt;
JSON of another shape is its subclass ``msgspec.ValidationError``: asking again hardly mends that.
Nothing here sends anything.
"""

import re
from typing import Literal, NamedTuple, TypeVar

import msgspec

from distill import jsonl
from distill.types import Finish, Record

LONGEST_QUOTE = 300  # characters of a server's message that a sentence of ours repeats
MOST_TOKENS = 1 << 40  # what a server counts beyond that is no count
LONGEST_CONTEXT = 1 << 31


# ── answers ──────────────────────────────────────────────────────────────────────────────────────


class Said(NamedTuple):
    """One answer. ``reasoning`` is None where the server did not take it apart; token counts are 0
    where it did not tell them (an answer never has none)."""

    text: str
    reasoning: str | None
    finish: Finish
    prompt_tokens: int
    completion_tokens: int


class _Part(Record, frozen=True):
    """A piece of a content in pieces. Of another type than text, it is not dropped silently."""

    text: str
    type: Literal["text", "output_text"] = "text"


class _Message(Record, frozen=True):
    """``reasoning`` (vLLM, OpenRouter) or ``reasoning_content`` (DeepSeek, SGLang, older vLLM)."""

    content: str | list[_Part] | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None


class _ChatChoice(Record, frozen=True):
    message: _Message
    finish_reason: str | None = None


class _TextChoice(Record, frozen=True):
    text: str
    finish_reason: str | None = None


C = TypeVar("C", _ChatChoice, _TextChoice)


class _ChatReply(Record, frozen=True):
    choices: list[_ChatChoice]
    usage: object = None


class _Upstream(Record, frozen=True):
    error: object = None


class _TextReply(Record, frozen=True):
    choices: list[_TextChoice]
    usage: object = None


# OpenAI's words, vLLM's and those of text-generation-inference.
_FINISHES: dict[str, Finish] = {
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "max_tokens": "length",
    "content_filter": "filtered",
    "repetition": "repetition",
    "abort": "aborted",
}


def read_chat(body: bytes) -> Said:
    """The first choice of a chat completion, wherever the server put the chain of thought.

    No content is an empty text: a trace that was cut while the model was thinking.
    """
    reply = _decode(body, _ChatReply)
    choice = _first(reply.choices)
    message = choice.message
    content = message.content or ""
    text = content if isinstance(content, str) else "".join(part.text for part in content)
    # An empty reasoning field says that there is no reasoning parser, not that there was no thought.
    reasoning = message.reasoning or message.reasoning_content or None
    return _said(text, reasoning, choice.finish_reason, reply.usage)


def read_completion(body: bytes) -> Said:
    """The first choice of a text completion; it is raw, marks and all."""
    reply = _decode(body, _TextReply)
    choice = _first(reply.choices)
    return _said(choice.text, None, choice.finish_reason, reply.usage)


R = TypeVar("R", _ChatReply, _TextReply)


def _decode(body: bytes, type_: type[R]) -> R:
    try:
        return jsonl.decode(body, type_)
    except msgspec.ValidationError:
        upstream = jsonl.decode(body, _Upstream)
        if upstream.error is None:
            raise
        # A gateway's way to say that what it asked is busy: that may pass.
        raise ValueError(f"an error: {read_complaint(body).message}") from None


def _first(choices: list[C]) -> C:
    if not choices:
        raise ValueError("no choices")
    if choices[0].finish_reason == "error":  # a gateway's upstream broke half-way
        raise ValueError("finish_reason is 'error'")
    return choices[0]


def _said(text: str, reasoning: str | None, finish: str | None, usage: object) -> Said:
    told: dict[str, object] = usage if isinstance(usage, dict) else {}
    return Said(
        text,
        reasoning,
        # A reason that nobody knows, or none: whether the answer is whole cannot be told.
        _FINISHES.get(finish or "", "aborted"),
        _count(told.get("prompt_tokens"), MOST_TOKENS) or 0,
        _count(told.get("completion_tokens"), MOST_TOKENS) or 0,
    )


def _count(value: object, most: int) -> int | None:
    """A count as servers write it (5, 5.0, "5"); None where it is none, or one that cannot be."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= most:
        return None
    return int(value) if value == int(value) else None


# ── models ───────────────────────────────────────────────────────────────────────────────────────


class Listed(Record, frozen=True, kw_only=True):
    """A model as ``/models`` lists it. vLLM and SGLang add ``root`` and ``max_model_len``."""

    id: str
    owned_by: str | None = None
    root: str | None = None
    max_model_len: int | None = None


class _Row(Record, frozen=True, kw_only=True):
    id: str
    owned_by: str | None = None
    root: str | None = None
    max_model_len: object = None


class _Models(Record, frozen=True):
    data: list[_Row]


def read_models(body: bytes) -> list[Listed]:
    """What a list of models says. A context that cannot be one is none."""
    return [
        Listed(
            id=row.id, owned_by=row.owned_by, root=row.root,
            max_model_len=_count(row.max_model_len, LONGEST_CONTEXT),
        )
        for row in jsonl.decode(body, _Models).data
    ]  # fmt: skip


# ── errors ───────────────────────────────────────────────────────────────────────────────────────


class Complaint(NamedTuple):
    """What the body of an error says, in one line, and its code."""

    message: str
    code: str


class _Error(Record, frozen=True):
    message: str = ""
    type: str | None = None
    code: str | int | None = None


class _Body(Record, frozen=True):
    """``{"error": {…}}``, ``{"error": "text"}``, ``{"message": …}`` and ``{"detail": …}`` all occur."""

    error: _Error | str | None = None
    message: str | None = None
    detail: str | list[object] | dict[str, object] | None = None
    code: str | int | None = None


def read_complaint(body: bytes) -> Complaint:
    """The message of an error, whatever its form; a body that is no JSON is its own message."""
    try:
        read = jsonl.decode(body, _Body)
    except ValueError:
        return Complaint(one_line(body.decode("utf-8", errors="replace")), "")
    error = read.error if isinstance(read.error, _Error) else _Error(message=read.error or "")
    detail = read.detail
    if detail is not None and not isinstance(detail, str):
        detail = msgspec.json.encode(detail).decode()
    message = error.message or read.message or detail or body.decode("utf-8", errors="replace")
    kind = error.type if error.code is None or isinstance(error.code, int) else error.code
    return Complaint(one_line(message), str(kind or read.code or ""))


def one_line(text: str) -> str:
    """Text of others as part of a sentence of ours: no control characters, no line breaks."""
    text = text[: 100 * LONGEST_QUOTE]
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def shorten(text: str) -> str:
    return text if len(text) <= LONGEST_QUOTE else f"{text[:LONGEST_QUOTE]}…"


class Fits(NamedTuple):
    """How many tokens of answer the server would allow."""

    max_tokens: int


Refusal = Fits | Literal["too_long", "rename"] | None

_CONTEXT = re.compile(r"(?:context length|model length|max_model_len)\D{0,12}(\d+)")
_PROMPT = re.compile(
    r"(\d+) (?:in (?:the|your) (?:messages|prompt)|tokens from the input|input tokens|of text input)"
    r"|resulted in (\d+) tokens|prompt \(length (\d+)\)"
)
_AT_MOST = re.compile(
    r"supports at most (\d+) completion tokens"
    r"|valid range of max_tokens is \[1, ?(\d+)\]"
    r"|max_(?:completion_)?tokens=\d+ cannot be greater than max_model_len=(\d+)"
)
_TOO_LONG = re.compile(
    r"maximum context length|longer than the maximum model length|longer than the model's context"
    r"|exceeds the available context size|prompt is too long|exceeds model's maximum context"
    r"|max_tokens must be at least 1, got 0"  # vLLM's word for a prompt that fills the context; we send no 0
)
_TOO_LONG_CODES = {"context_length_exceeded", "exceed_context_size_error"}
_RENAME = re.compile(r"max_tokens.*(?:not supported|unsupported).*max_completion_tokens", re.I)


def read_refusal(complaint: Complaint) -> Refusal:
    """What a 400 wants: fewer tokens of answer, a shorter prompt, the other name for the limit.

    Many servers count the prompt and ``max_tokens`` together: where the prompt alone fits, asking for
    less mends it. None: something else is wrong.
    """
    message, code = complaint
    if _RENAME.search(message):
        return "rename"
    at_most = _number(_AT_MOST, message)
    if at_most is not None:
        return Fits(at_most)
    context, prompt = _number(_CONTEXT, message), _number(_PROMPT, message)
    if context is not None and prompt is not None:
        return Fits(context - prompt) if prompt < context else "too_long"
    return "too_long" if code in _TOO_LONG_CODES or _TOO_LONG.search(message) else None


def _number(pattern: re.Pattern[str], text: str) -> int | None:
    found = pattern.search(text)
    return next((int(group) for group in found.groups() if group), None) if found else None
