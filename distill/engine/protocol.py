"""What turns a prompt into a trace: the protocol every engine follows.

    reply = await engine.ask(Request(identity, messages, sampling))
    reply.text, reply.finish, reply.completion_tokens

Asynchronous both ways: many requests are open at once, and replies come when they come. An engine
batches, balances and queues as it likes; what it must not do is give up a request silently.
"""

import hashlib
from collections.abc import Mapping
from typing import NamedTuple, Protocol

import msgspec

from distill.cards import Endpoint, Marks, Serve
from distill.errors import DistillError
from distill.types import Finish, Identity, Message, Sampling


class Served(NamedTuple):
    """A model that is to answer, and how its card says it is served.

    ``name`` is what people call it; ``model`` a hub id or folder (None: only the owner of the endpoint
    can say it); ``path`` the file of a card of one's own.
    """

    name: str
    model: str | None
    revision: str | None = None
    context: int | None = None
    marks: Marks = Marks()
    template_args: Mapping[str, str | bool | int] = {}
    serve: Serve = Serve()
    endpoint: Endpoint | None = None
    path: str | None = None

    @property
    def card(self) -> str:
        """What messages call the card: a copy of a shipped one often has the same name."""
        return f"the card {self.path}" if self.path else f"the card of '{self.name}'"


class Request(NamedTuple):
    """One sample to make. ``prefix`` is text the reply starts from; ``seed`` is for eval and tests."""

    identity: Identity
    messages: list[Message]
    sampling: Sampling
    prefix: str = ""
    seed: int = 0


class Reply(NamedTuple):
    """What the model wrote: text without the end-of-turn token, token ids with it (empty where the
    server does not tell them).

    ``reasoning`` is set where the server took the text apart itself; ``text`` is then what came
    after the think marks.
    """

    text: str
    token_ids: list[int]
    finish: Finish
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    reasoning: str | None = None


class PromptTooLong(DistillError):
    """The prompt leaves no room to answer in the model's context; asking again cannot succeed."""


class Engine(Protocol):
    """``in_flight`` is how many requests the engine wants open to be busy."""

    name: str
    in_flight: int

    async def ask(self, request: Request) -> Reply:
        """Answer one request. Raises `PromptTooLong`; any other error ends the stage."""
        ...

    async def close(self) -> None:
        """Free the model or the server. Safe to call twice."""
        ...


def key_of(request: Request) -> int:
    """64 bits of sha256 over seed and identity: where a request's noise starts, whoever answers."""
    text = msgspec.json.encode([request.seed, *request.identity])
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "little")
