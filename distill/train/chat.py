"""One example as token ids: what the student reads, and from where on it learns.

    renderer = Renderer(tokenizer, Marks())
    text = renderer.text(example, "kept.jsonl:1")
    text.prompt, text.answer                    # "<|im_start|>user\\n...", "<think>\\n...<|im_end|>"
    renderer.rows([text])[0]                    # Row(ids=[...], learned_from=41)

The prompt is what the serving side sends (the chat template with its generation prompt) and is
tokenised alone, as the serving side does; the answer is the assistant's content and the template's
end of turn. Where the template can render the whole conversation, both ways must give the same text.
Templates that open the reasoning themselves, or strip reasoning from history, are met by building
the answer ourselves; one that changes the prompt once it sees an answer is refused.

Not here: what is too long (`corpus.py`).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from distill.cards import Marks
from distill.errors import DistillError
from distill.types import Example, Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_PROBE = "zqxj"  # stands for an answer when the template is asked how a turn ends


class Text(NamedTuple):
    """A conversation up to where the student speaks, and what it says, end of turn included."""

    prompt: str
    answer: str


class Row(NamedTuple):
    """Token ids; those from ``learned_from`` on are learned (the answer up to its end of turn)."""

    ids: list[int]
    learned_from: int


class ControlToken(DistillError):
    """The answer's text spells one of the tokenizer's control tokens, so it would end in its middle."""


class Renderer:
    """Renders examples with one tokenizer's chat template and one card's think marks."""

    def __init__(self, tokenizer: "PreTrainedTokenizerBase", marks: Marks) -> None:
        if not tokenizer.chat_template:
            raise DistillError(
                f"{tokenizer.name_or_path}: the tokenizer has no chat template; add chat_template.jinja to it"
            )
        self.tokenizer = tokenizer
        self.marks = marks
        self.end = end_of_turn(tokenizer)
        inside = {self.end, marks.open, marks.close}
        self._control = [token for token in tokenizer.all_special_tokens if token not in inside]
        self._control.append(self.end.strip())

    @property
    def end_id(self) -> int:
        """The token that ends an assistant turn: what the student must learn to write, and stops at."""
        return int(self.tokenizer(self.end, add_special_tokens=False).input_ids[-1])

    def text(self, example: Example, where: str) -> Text:
        """One example as text. ``where`` names the row in errors."""
        *history, last = example.messages
        if last.role != "assistant" or not history:
            raise DistillError(f"{where}: the last message must be the assistant's, after a prompt")
        content = last.content
        if not example.thinking and self.marks.open not in content:
            content = f"{self.marks.open}\n\n{self.marks.close}\n\n{content}"
        for token in self._control:
            if token in content:
                raise ControlToken(f"{where}: the answer holds the control token {token}")
        prompt = self._apply(history, where, generation=True)
        head, opened = self._split_opened(prompt)
        whole = self._apply(
            [*history, Message(role="assistant", content=content)], where, generation=False
        )
        if not whole.startswith(head):
            raise DistillError(
                f"{where}: the chat template renders the prompt differently once an answer follows, "
                "so training and serving would differ; give the student a template that does not"
            )
        return Text(prompt, _after_opening(content, opened, self.marks) + self.end)

    def rows(self, texts: Sequence[Text]) -> list[Row]:
        """Token ids of many texts at once (the tokenizer's threads work per call)."""
        prompts = self.tokenizer(
            [text.prompt for text in texts], add_special_tokens=False
        ).input_ids
        answers = self.tokenizer(
            [text.answer for text in texts], add_special_tokens=False
        ).input_ids
        return [
            Row(prompt + answer, len(prompt))
            for prompt, answer in zip(prompts, answers, strict=True)
        ]

    def _split_opened(self, prompt: str) -> tuple[str, str]:
        """The prompt without the opening mark that the template itself wrote, and that mark."""
        if not prompt.rstrip().endswith(self.marks.open):
            return prompt, ""
        start = prompt.rindex(self.marks.open)
        return prompt[:start], prompt[start:]

    def _apply(self, messages: Sequence[Message], where: str, *, generation: bool) -> str:
        from jinja2 import TemplateError

        plain = [{"role": message.role, "content": message.content} for message in messages]
        try:
            return str(
                self.tokenizer.apply_chat_template(
                    plain, tokenize=False, add_generation_prompt=generation
                )
            )
        except TemplateError as error:
            raise DistillError(
                f"{where}: the chat template refuses these messages: {error}"
            ) from None


def _after_opening(content: str, opened: str, marks: Marks) -> str:
    """What is left to write once the prompt ends with ``opened`` (nothing opened: all of it)."""
    if not opened:
        return content
    if content.startswith(opened):
        return content[len(opened) :]
    if content.startswith(marks.open):
        return content[len(marks.open) :].lstrip("\n")
    return (
        f"\n{marks.close}\n\n{content}"  # no reasoning in the row: close what the template opened
    )


def end_of_turn(tokenizer: "PreTrainedTokenizerBase") -> str:
    """What the template writes after an assistant's content, up to and with its first control token.

    ``<|im_end|>`` for ChatML, ``<|eot_id|>`` for Llama 3; the tokenizer's EOS where the template
    writes nothing.
    """
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": _PROBE}]
    whole = str(tokenizer.apply_chat_template(messages, tokenize=False))
    tail = whole[whole.rindex(_PROBE) + len(_PROBE) :]
    known = {*tokenizer.all_special_tokens, *tokenizer.get_added_vocab()}
    found = [(tail.index(token), token) for token in known if token in tail]
    if found:
        at, token = min(found, key=lambda hit: (hit[0], -len(hit[1])))
        return tail[: at + len(token)]
    if not tokenizer.eos_token:
        raise DistillError(
            f"{tokenizer.name_or_path}: neither its chat template nor its EOS ends a turn; "
            "the student would never learn to stop"
        )
    return str(tokenizer.eos_token)
