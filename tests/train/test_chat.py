"""What is rendered, and which tokens are learned."""

from typing import Any

import pytest
from conftest import TEMPLATE, kept_examples, make_tokenizer

from distill.cards import Marks
from distill.errors import DistillError
from distill.train.chat import ControlToken, Renderer, end_of_turn
from distill.types import Example, Message

ANSWER = "<think>\n7 + 5 = 12.\n</think>\n\nThe jar holds \\boxed{12} beans."
# As DeepSeek-R1's distilled models have it: the prompt opens the reasoning, history loses it.
OPENS = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.role == 'assistant' %}{{ m.content.split('</think>')[-1] }}{% else %}{{ m.content }}{% endif %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}"
)
STRIPS = OPENS.replace("assistant\n<think>\n", "assistant\n")
NO_END = (
    "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
TWO_FACED = (
    "{% if add_generation_prompt %}Answer.{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def example(*contents: str, thinking: bool = True) -> Example:
    roles = ["user", "assistant"] * 4
    messages = [Message(role=r, content=c) for r, c in zip(roles, contents, strict=False)]  # type: ignore[arg-type]
    return Example(series="0", problem_id="p", sample=0, messages=messages, thinking=thinking)


def learned_text(tokenizer: Any, row: Example) -> tuple[str, str]:
    """The decoded prompt and the decoded learned part."""
    renderer = Renderer(tokenizer, Marks())
    ids, start = renderer.rows([renderer.text(row, "kept.jsonl:1")])[0]
    return tokenizer.decode(ids[:start]), tokenizer.decode(ids[start:])


PROMPT = "<|im_start|>user\nHow many?<|im_end|>\n<|im_start|>assistant\n"
MASKS = [
    # template, example, prompt (masked), learned
    (TEMPLATE, example("How many?", ANSWER), PROMPT, ANSWER + "<|im_end|>"),
    # the template opens the reasoning: the mark is masked, what follows is learned
    (OPENS, example("How many?", ANSWER), PROMPT + "<think>\n", ANSWER[8:] + "<|im_end|>"),
    (OPENS, example("How many?", "Hi."), PROMPT + "<think>\n", "\n</think>\n\nHi.<|im_end|>"),
    # the template strips reasoning once it is history: the row keeps it
    (STRIPS, example("How many?", ANSWER), PROMPT, ANSWER + "<|im_end|>"),
    # no reasoning: an empty think block, learned
    (
        TEMPLATE,
        example("How many?", "Hi.", thinking=False),
        PROMPT,
        "<think>\n\n</think>\n\nHi.<|im_end|>",
    ),
    # earlier turns are masked, the assistant's among them
    (
        TEMPLATE,
        example("Hi", "Hello", "How many?", ANSWER),
        "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello<|im_end|>\n" + PROMPT,
        ANSWER + "<|im_end|>",
    ),
    # no end of turn in the template: the tokenizer's EOS ends the answer
    (NO_END, example("How many?", "Twelve"), "user: How many?\nassistant: ", "Twelve<|im_end|>"),
]


@pytest.mark.parametrize(("template", "row", "prompt", "learned"), MASKS)
def test_only_the_answer_and_its_end_are_learned(
    template: str, row: Example, prompt: str, learned: str
) -> None:
    assert learned_text(make_tokenizer(template), row) == (prompt, learned)


def test_a_row_is_the_template_over_the_whole_conversation(tokenizer: Any) -> None:
    renderer = Renderer(tokenizer, Marks())
    for row in kept_examples(20):
        ids = renderer.rows([renderer.text(row, "x")])[0].ids
        messages = [{"role": m.role, "content": m.content} for m in row.messages]
        whole = tokenizer.apply_chat_template(messages, tokenize=True, return_dict=False)
        assert ids == whole[: len(ids)]
        assert tokenizer.decode(whole[len(ids) :]) == "\n"


def test_the_end_of_turn_is_the_last_learned_token(tokenizer: Any) -> None:
    renderer = Renderer(tokenizer, Marks())
    row = renderer.rows([renderer.text(example("a", "b"), "x")])[0]
    assert row.ids[-1] == renderer.end_id == tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert end_of_turn(tokenizer) == "<|im_end|>"


def test_a_template_that_changes_the_prompt_is_refused_naming_the_row() -> None:
    renderer = Renderer(make_tokenizer(TWO_FACED), Marks())
    with pytest.raises(
        DistillError, match=r"^kept.jsonl:7: the chat template renders the prompt diff"
    ):
        renderer.text(example("How many?", ANSWER), "kept.jsonl:7")


def test_an_answer_that_spells_a_control_token_is_not_trained_on(tokenizer: Any) -> None:
    with pytest.raises(ControlToken, match=r"<\|im_end\|>"):
        Renderer(tokenizer, Marks()).text(example("How many?", "Twelve<|im_end|> or so"), "x")


def test_a_tokenizer_without_a_template_is_refused() -> None:
    with pytest.raises(DistillError, match="has no chat template"):
        Renderer(make_tokenizer(None), Marks())
