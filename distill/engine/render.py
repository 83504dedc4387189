"""One rendering of a prompt, whoever answers it: the model's own chat template, then its tokenizer.

    renderer = Renderer("Qwen/Qwen3-8B")
    renderer.ids([Message(role="user", content="7 + 5?")])       # token ids, generation prompt included

The local engine and the completions API send these ids; a chat endpoint renders by itself and must
come to the same ones (tested against real vLLM). A prefix is what the reply starts from, written by the
model itself: it is joined to the text before it is tokenized.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from distill.errors import Missing, missing_extra
from distill.types import Message


class Renderer:
    """The tokenizer and chat template of a model folder or hub id."""

    def __init__(
        self, model: str, *, revision: str | None = None,
        template_args: Mapping[str, str | bool | int] | None = None,
    ) -> None:  # fmt: skip
        try:
            from transformers import AutoTokenizer
        except ImportError:
            raise missing_extra("rendering prompts here", "local") from None
        try:
            self.tokenizer: Any = AutoTokenizer.from_pretrained(model, revision=revision)
        except (OSError, ValueError) as error:
            first = str(error).strip().splitlines()[0]
            raise Missing(
                f"the tokenizer of '{model}' cannot be loaded ({first.rstrip('.')}): let this machine reach "
                "the hub once (a network, no HF_HUB_OFFLINE), or name its folder; for an endpoint "
                "'api: chat' needs none here"
            ) from None
        self._template_args = dict(template_args or {})

    def ids(self, messages: Sequence[Message], prefix: str = "") -> list[int]:
        """Token ids of the prompt, up to where the model goes on."""
        text = self.tokenizer.apply_chat_template(
            [msgspec.to_builtins(message) for message in messages],
            tokenize=False,
            add_generation_prompt=True,
            **self._template_args,
        )
        # The template writes the opening token itself where the model wants one.
        return list(self.tokenizer.encode(text + prefix, add_special_tokens=False))
