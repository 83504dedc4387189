"""The engine for any OpenAI-compatible server: somebody's, or one of ours.

    engine = EndpointEngine.of_card(served, seeded=False)        # the URLs of the model's card
    engine = EndpointEngine.of_server(served, server, seeded=True)
    reply = await engine.ask(request)

A request goes to the URL with the fewest open; there is no time limit on an answer, since a long chain
of thought takes hours. A URL that is busy, broken or gone is asked again, later and later, and the
others meanwhile; when no URL has worked for `PATIENCE_S`, one sentence ends the stage. What no
repetition can mend (a wrong key, a model that is not there) ends it at once.

Not here: streaming, tools, several answers to one request. A server that takes a request and never
answers it is waited for, unless its machine is gone (TCP keepalive).
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Sequence
from typing import Protocol

import aiohttp
import msgspec

from distill.engine.key import Key
from distill.engine.post import Answer, open_session, post
from distill.engine.probe import probe, proxy_for, refused, through
from distill.engine.protocol import PromptTooLong, Reply, Request, Served, key_of
from distill.engine.render import Renderer
from distill.engine.reply import (
    Fits,
    Listed,
    Refusal,
    Said,
    read_chat,
    read_complaint,
    read_completion,
    read_refusal,
    shorten,
)
from distill.errors import DistillError
from distill.types import Message

PATIENCE_S = 120.0  # of nothing but failures, from all URLs
# As shares of it, so that one number sets the pace:
FIRST_DELAY = 1 / 240  # 0.5 s before the second attempt; doubles
LONGEST_DELAY = 1 / 6
REST = 1 / 12  # for 10 s a URL that failed is asked only if no other is left
HELD = 1 / 4  # a request that a server holds for 30 s is as good as a reply
ATTEMPTS = 12  # of one request that a server took and failed, while others succeed
ODD_ATTEMPTS = 4  # of one whose answers are well-formed and none
IN_FLIGHT = 256  # for a server of ours: vLLM batches as many sequences by default
SHRINKS = 3  # a server may refuse first max_tokens and then its sum with the prompt
KEPT = "what was finished is kept, and the same command goes on from there"


class Server(Protocol):
    """A server of ours. ``check`` raises a `DistillError` with the log's end if it has died."""

    @property
    def name(self) -> str: ...
    @property
    def url(self) -> str: ...
    def check(self) -> None: ...
    def stop(self) -> None: ...


class Body(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What is sent. Fields beyond OpenAI's are left out unless they are needed: some servers refuse
    what they do not know."""

    model: str
    messages: list[Message] | None = None
    prompt: list[int] | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    seed: int | None = None
    chat_template_kwargs: dict[str, str | bool | int] | None = None

    @property
    def limit(self) -> int:
        return self.max_tokens or self.max_completion_tokens or 0


class Base:
    """One base URL, the model's name there, and how it is doing."""

    def __init__(self, url: str, listed: Listed) -> None:
        self.url = url
        self.model = listed.id
        self.context = listed.max_model_len
        self.vllm = listed.owned_by == "vllm"
        self.proxy = proxy_for(url)
        self.open = 0
        self.rests_until = 0.0


class EndpointEngine:
    """``patience_s``: how long nothing but failure is borne; short in tests."""

    def __init__(
        self, served: Served, bases: Sequence[Base], *, key: Key, api: str, in_flight: int,
        seeded: bool, server: Server | None = None, patience_s: float | None = None,
    ) -> None:  # fmt: skip
        self.name = "endpoint" if server is None else "vllm"
        self.in_flight = in_flight
        self._served, self._bases, self._key, self._api = served, list(bases), key, api
        self._seeded, self._server = seeded, server
        self._patience_s = PATIENCE_S if patience_s is None else patience_s
        self._renderer = self._make_renderer() if api == "completions" else None
        self._limit_renamed = False  # newer models of OpenAI take only max_completion_tokens
        self._session: aiohttp.ClientSession | None = None
        self._closing = asyncio.Event()
        self._attempts: dict[int, float] = {}  # open attempts and when they began, oldest first
        self._attempt = 0
        self._failing_since: float | None = None
        self._jitter = random.Random()

    @classmethod
    def of_card(
        cls, served: Served, *, seeded: bool, patience_s: float | None = None
    ) -> "EndpointEngine":
        """The engine for the URLs of a card; each is asked first whether it serves the model."""
        card, where = served.endpoint, served.card
        if card is None:
            raise DistillError(
                f"{where} names no endpoint: give it 'endpoint' with 'urls', or take another engine"
            )
        key = Key.of_variable(card.key)
        urls = [url.rstrip("/") for url in card.urls]
        bases = [Base(url, probe(url, key, served.model, where)) for url in urls]
        return cls(
            served, bases, key=key, api=card.api, in_flight=card.in_flight, seeded=seeded,
            patience_s=patience_s,
        )  # fmt: skip

    @classmethod
    def of_server(
        cls, served: Served, server: Server, *, seeded: bool, patience_s: float | None = None
    ) -> "EndpointEngine":
        """The engine for a server that we started, which is stopped when the engine is closed."""
        server.check()
        listed = probe(server.url, Key.none(), server.name, served.card)
        return cls(
            served, [Base(server.url, listed)], key=Key.none(), api="chat", in_flight=IN_FLIGHT,
            seeded=seeded, server=server, patience_s=patience_s,
        )  # fmt: skip

    def __repr__(self) -> str:
        return f"EndpointEngine({', '.join(base.url for base in self._bases)})"

    async def ask(self, request: Request) -> Reply:
        prompt = self._prompt(request)
        read = read_chat if prompt is None else read_completion
        most = request.sampling.max_tokens
        delay_s, failures, odd, shrinks = FIRST_DELAY * self._patience_s, 0, 0, 0
        while True:
            base = self._pick()
            body = self._body(request, prompt, base, most)
            started = time.monotonic()
            answer = await self._send(base, body)
            self._raise_if_closed()  # what was open then has failed for that only
            if answer.status == 200:
                try:
                    said = read(answer.body)
                except ValueError as error:
                    shape = isinstance(error, msgspec.ValidationError)
                    answer = answer._replace(problem=f"200, but {error}", taken=True, odd=shape)
                else:
                    self._failing_since = None
                    return _reply(said, time.monotonic() - started)
            if not answer.problem:
                refusal = self._refused(base, body, answer, shrinks)
                if isinstance(refusal, Fits):
                    most, shrinks = refusal.max_tokens, shrinks + 1
                continue
            failures, odd = failures + answer.taken, odd + answer.odd
            last = failures >= ATTEMPTS or odd >= ODD_ATTEMPTS
            left_s = self._bear(base, answer, started, request, failures if last else 0)
            wait_s = max(delay_s * self._jitter.uniform(0.5, 1.5), answer.retry_after_s)
            delay_s = min(2 * delay_s, LONGEST_DELAY * self._patience_s)
            await self._pause(min(wait_s, left_s))

    async def close(self) -> None:
        self._closing.set()
        session, self._session = self._session, None
        if session is not None:
            await session.close()
        if self._server is not None:
            await asyncio.to_thread(self._server.stop)

    # ── what is sent ─────────────────────────────────────────────────────────────────────────────

    def _prompt(self, request: Request) -> list[int] | None:
        """Token ids for the completions API; None where the server renders the chat. A prefix cannot
        be said through a chat."""
        if self._api == "chat" and not request.prefix:
            return None
        if self._renderer is None:
            self._renderer = self._make_renderer()
        return self._renderer.ids(request.messages, request.prefix)

    def _make_renderer(self) -> Renderer:
        served = self._served
        assert served.model is not None, served.name  # `probe` has refused it
        return Renderer(served.model, revision=served.revision, template_args=served.template_args)

    def _body(self, request: Request, prompt: list[int] | None, base: Base, most: int) -> Body:
        sampling, template_args = request.sampling, dict(self._served.template_args)
        context = min((c for c in (self._served.context, base.context) if c), default=None)
        if context is not None:
            room = context - len(prompt or ())
            if room < 1:
                raise PromptTooLong(
                    f"prompt of {len(prompt or ()):,} tokens does not fit a context of {context:,}"
                )
            most = min(most, room)
        body = Body(
            model=base.model,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k or None,
            seed=key_of(request) & 0x7FFFFFFF if self._seeded else None,
        )
        if prompt is None:
            body.messages = request.messages
            body.chat_template_kwargs = template_args or None
        else:
            body.prompt = prompt
        if prompt is None and self._limit_renamed:
            body.max_completion_tokens = most
        else:
            body.max_tokens = most
        if base.vllm:
            # What is not sent, vLLM takes from the model's generation_config.json, top_k and a
            # repetition penalty among it: the series would not know.
            body.top_k, body.min_p, body.repetition_penalty = sampling.top_k or -1, 0.0, 1.0
        return body

    async def _send(self, base: Base, body: Body) -> Answer:
        """One attempt, counted while it is open."""
        path = "completions" if body.messages is None else "chat/completions"
        self._raise_if_closed()
        if self._session is None:
            self._session = open_session(self._key.headers())
        self._attempt += 1
        attempt = self._attempt
        self._attempts[attempt] = time.monotonic()
        base.open += 1
        try:
            data = msgspec.json.encode(body)
            return await post(self._session, f"{base.url}/{path}", data, base.proxy)
        finally:
            base.open -= 1
            del self._attempts[attempt]

    # ── what goes wrong ──────────────────────────────────────────────────────────────────────────

    def _pick(self) -> Base:
        """The URL with the fewest open requests; one that just failed only if no other is left."""
        now = time.monotonic()
        return min(self._bases, key=lambda base: (base.rests_until > now, base.open))

    def _refused(self, base: Base, body: Body, answer: Answer, shrinks: int) -> Refusal:
        """What to ask instead after a refusal; raises where nothing else would do."""
        complaint = read_complaint(answer.body)
        refusal = read_refusal(complaint) if answer.status in (400, 413, 422) else None
        if refusal == "rename" and body.messages is not None and body.max_tokens is not None:
            self._limit_renamed = True
            return refusal
        if isinstance(refusal, Fits) and 0 < refusal.max_tokens < body.limit and shrinks < SHRINKS:
            return refusal
        if refusal == "too_long":
            raise PromptTooLong(shorten(self._key.hide(complaint.message)))
        where = self._served.card
        sentence = refused(base.url, answer.status, complaint, self._key, where, answer.location)
        raise DistillError(f"{sentence}{through(base.proxy)}; {KEPT}")

    def _bear(
        self, base: Base, answer: Answer, started: float, request: Request, failures: int
    ) -> float:
        """Note a failed attempt. Returns for how many seconds more nothing but failures is borne;
        raises when that is over. ``failures``: how often this request failed, where that is enough."""
        now = time.monotonic()
        base.rests_until = now + REST * self._patience_s
        if self._server is not None:
            self._server.check()
        oldest = min(next(iter(self._attempts.values()), now), started)
        if self._failing_since is None or now - oldest > HELD * self._patience_s:
            self._failing_since = now
        problem = shorten(self._key.hide(answer.problem)) + through(base.proxy)
        failing_s = now - self._failing_since
        if failing_s >= self._patience_s:
            raise DistillError(
                f"{base.url} has failed for {failing_s:.0f} s, at last with: {problem}; {KEPT}"
            )
        if failures:
            asked = f"'{request.identity.problem_id}', sample {request.identity.sample}"
            raise DistillError(
                f"{base.url} failed {failures} times on problem {asked}, at last with: {problem}; "
                f"{KEPT}"
            )
        return self._patience_s - failing_s

    async def _pause(self, seconds: float) -> None:
        """Sleep, unless the engine is closed meanwhile."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), seconds)

    def _raise_if_closed(self) -> None:
        if self._closing.is_set():
            raise asyncio.CancelledError("the engine was closed")


def _reply(said: Said, seconds: float) -> Reply:
    return Reply(
        said.text, [], said.finish, said.prompt_tokens, said.completion_tokens, seconds,
        said.reasoning,
    )  # fmt: skip
