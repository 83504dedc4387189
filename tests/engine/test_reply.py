"""Answers as servers send them, and the trace that each becomes."""

import json
from typing import Any

import pytest

from distill.cards import Marks
from distill.engine.protocol import Reply
from distill.engine.reply import read_chat, read_completion, read_models
from distill.generate.produce import to_trace
from distill.types import Finish, Identity, Trace

PLAIN, OPENED = Marks(), Marks(opened=True)


def chat(message: dict[str, Any], finish: str | None = "stop", **more: Any) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    return json.dumps({"id": "x", "choices": [choice], **more}).encode()


def trace(body: bytes, marks: Marks = PLAIN) -> Trace:
    said = read_chat(body)
    reply = Reply(said.text, [], said.finish, 1, 1, 0.0, said.reasoning)
    return to_trace(Identity("s", "p", 0), reply, "m", marks)


PLACES: list[tuple[str, dict[str, Any]]] = [
    ("inside, with both marks", {"content": "<think>\n7 + 5\n</think>\n\n12"}),
    ("reasoning, as vLLM and OpenRouter say it", {"content": "12", "reasoning": "7 + 5"}),
    ("reasoning_content, as DeepSeek and SGLang say it",
     {"content": "12", "reasoning_content": "7 + 5"}),
    ("both", {"content": "12", "reasoning": "7 + 5", "reasoning_content": "7 + 5"}),
    ("as it stood between the marks", {"content": "\n\n12", "reasoning": "\n7 + 5\n"}),
    ("one is null", {"content": "12", "reasoning": None, "reasoning_content": "7 + 5"}),
    ("null in both, so inside",
     {"content": "<think>\n7 + 5\n</think>\n\n12", "reasoning": None, "reasoning_content": None}),
    ("empty, so inside", {"content": "<think>\n7 + 5\n</think>\n\n12", "reasoning_content": ""}),
]  # fmt: skip


@pytest.mark.parametrize("message", [m for _, m in PLACES], ids=[name for name, _ in PLACES])
def test_the_chain_of_thought_is_found_wherever_the_server_puts_it(message: dict[str, Any]) -> None:
    made = trace(chat(message))
    assert (made.reasoning, made.response, made.text) == ("7 + 5", "12", None)


CUT: list[tuple[str, dict[str, Any], Marks]] = [
    ("inside", {"content": "<think>\n7 +"}, PLAIN),
    ("inside, opened by the template", {"content": "7 +"}, OPENED),
    ("content is null", {"content": None, "reasoning": "7 +"}, PLAIN),
    ("content is null, opened by the template", {"content": None, "reasoning": "7 +"}, OPENED),
    ("content is empty", {"content": "", "reasoning_content": "7 +"}, PLAIN),
    ("content is missing", {"reasoning": "\n7 +"}, PLAIN),
]


@pytest.mark.parametrize(("message", "marks"), [c[1:] for c in CUT], ids=[c[0] for c in CUT])
def test_a_cut_trace_is_the_same_whoever_split_it(message: dict[str, Any], marks: Marks) -> None:
    raw = "7 +" if marks.opened else "<think>\n7 +"
    same = trace(chat({"content": raw}, "length"), marks)
    assert trace(chat(message, "length"), marks) == same
    assert (same.reasoning, same.response, same.text) == ("7 +", "", raw)


def test_an_answer_without_thought_has_no_reasoning() -> None:
    assert trace(chat({"content": "12"})).reasoning is None
    assert trace(chat({"content": None, "refusal": "I cannot."})).response == ""


@pytest.mark.parametrize(
    ("said", "finish"),
    [
        ("stop", "stop"),
        ("eos_token", "stop"),
        ("length", "length"),
        ("content_filter", "filtered"),
        ("abort", "aborted"),
        ("repetition", "repetition"),
        ("tool_calls", "aborted"),
        ("insomnia", "aborted"),
        (None, "aborted"),
    ],
)
def test_a_finish_that_nobody_knows_is_not_taken_for_the_end(
    said: str | None, finish: Finish
) -> None:
    assert read_chat(chat({"content": "12"}, said)).finish == finish


@pytest.mark.parametrize(
    ("more", "counts"),
    [
        ({"usage": {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}}, (7, 5)),
        ({"usage": {"prompt_tokens": 7, "completion_tokens": None}}, (7, 0)),
        ({"usage": None}, (0, 0)),
        ({"usage": {"prompt_tokens": 7.0, "completion_tokens": "5"}}, (7, 5)),
        ({"usage": {"prompt_tokens": -7, "completion_tokens": 1 << 41}}, (0, 0)),
        ({"usage": {"prompt_tokens": True, "completion_tokens": 1.5}}, (0, 0)),
        ({"usage": {"prompt_tokens": 10**30, "completion_tokens": "many"}}, (0, 0)),
        ({"usage": [7, 5]}, (0, 0)),
        ({}, (0, 0)),
    ],
)
def test_counts_that_a_server_does_not_tell_are_0(
    more: dict[str, Any], counts: tuple[int, int]
) -> None:
    said = read_chat(chat({"content": "12"}, **more))
    assert (said.prompt_tokens, said.completion_tokens) == counts


def test_odd_characters_of_models_are_read() -> None:
    body = chat({"content": "a\ud83d b"})  # half an emoji, as a cut can leave it
    assert b"\\ud83d" in body and read_chat(body).text == "a\ufffd b"
    assert read_chat(body.replace(b"b", b"\xff")).text.startswith("a\ufffd")


def test_a_content_in_pieces_is_joined_and_a_piece_of_another_kind_is_not_dropped() -> None:
    pieces = [{"type": "text", "text": "<think>7 + 5"}, {"type": "text", "text": "</think>12"}]
    assert read_chat(chat({"content": pieces})).text == "<think>7 + 5</think>12"
    assert read_chat(chat({"content": []})).text == ""
    with pytest.raises(ValueError, match="thinking"):
        read_chat(chat({"content": [{"type": "thinking", "text": "7"}, *pieces]}))


@pytest.mark.parametrize(
    ("told", "read"),
    [("4096", 4096), (4096.0, 4096), (4096, 4096), (0, None), (-1, None), (1 << 40, None),
     (None, None), ("long", None), (True, None), ([], None)],
)  # fmt: skip
def test_a_context_that_cannot_be_one_is_none(told: object, read: int | None) -> None:
    body = json.dumps({"data": [{"id": "a", "max_model_len": told}]}).encode()
    assert read_models(body)[0].max_model_len == read


def test_a_completion_is_raw() -> None:
    body = b'{"choices": [{"text": "<think>\\n7", "finish_reason": "length", "stop_reason": null}]}'
    said = read_completion(body)
    assert (said.text, said.reasoning, said.finish) == ("<think>\n7", None, "length")


def test_a_list_of_models_is_read_with_what_vllm_adds() -> None:
    body = (
        b'{"data": [{"id": "a"}, {"id": "b", "root": "/b", "max_model_len": 9, "permission": []}]}'
    )
    first, second = read_models(body)
    assert (first.id, first.max_model_len) == ("a", None)
    assert (second.root, second.max_model_len) == ("/b", 9)
