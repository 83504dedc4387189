"""What turns a prompt into a trace: the protocol every engine follows.

    reply = await engine.ask(Request(identity, messages, sampling))
    reply.text, reply.finish, reply.completion_tokens

Asynchronous both ways: many requests are open at once, and replies come when they come. An engine
batches, balances and queues as it likes; what it must not do is give up a request silently.
"""

from typing import NamedTuple, Protocol

from distill.errors import DistillError
from distill.types import Finish, Identity, Message, Sampling


class Request(NamedTuple):
    """One sample to make. ``prefix`` is text the reply starts from; ``seed`` is for eval and tests."""

    identity: Identity
    messages: list[Message]
    sampling: Sampling
    prefix: str = ""
    seed: int = 0


class Reply(NamedTuple):
    """What the model wrote: text without the end-of-turn token, token ids with it."""

    text: str
    token_ids: list[int]
    finish: Finish
    prompt_tokens: int
    completion_tokens: int
    seconds: float


class PromptTooLong(DistillError):
    """The prompt leaves no room to answer in the model's context; asking again cannot succeed."""


class Engine(Protocol):
    """``in_flight`` is how many requests the engine wants open to be busy; ``template`` is a hash of
    the chat template that it renders with ("" where that cannot be known)."""

    name: str
    in_flight: int
    template: str

    async def ask(self, request: Request) -> Reply:
        """Answer one request. Raises `PromptTooLong`; any other error ends the stage."""
        ...

    async def close(self) -> None:
        """Free the model or the server. Safe to call twice."""
        ...
