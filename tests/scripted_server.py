"""An OpenAI-compatible server over real HTTP, scripted: it solves the embedded world's problems.

    with ScriptedServer(solved) as server:
        server.url                      # http://127.0.0.1:PORT/v1
        server.faults.append(Fault(503, headers={"Retry-After": "1"}))      # for the next request
        server.bodies                   # what was asked

It runs in a thread with a loop of its own, so that a test's loop and blocking clients can both ask it.
`stop` drops open connections, as a kill does; `start` listens on the same port again.
"""

import asyncio
import contextlib
import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from aiohttp import web
from scripted_engine import share

from distill.types import Identity
from distill.world import Solved

Json = dict[str, Any]


class Fault(NamedTuple):
    """What the next request gets instead of an answer. ``how``: a response, a reset connection before
    or in the middle of one, or none until the server stops."""

    status: int = 200
    body: str | Json = ""
    headers: Mapping[str, str] = {}
    how: Literal["answer", "reset", "half", "hang"] = "answer"


class ScriptedServer:
    """``split``: where the chain of thought goes; "content" leaves it inside the text. ``vllm``: lists
    its model as vLLM does. ``context``: refuses more, in the words of vLLM 0.32."""

    def __init__(
        self, solved: Sequence[Solved] = (), *, model: str = "scripted", key: str = "", port: int = 0,
        split: Literal["content", "reasoning", "reasoning_content"] = "content", vllm: bool = False,
        context: int | None = None, delay_s: float = 0.0, cut: float = 0.0,
        faults: Sequence[Fault] = (), always: Fault | None = None, only: str = "",
        stop_after: int | None = None, together: int = 0,
    ) -> None:  # fmt: skip
        self._solved = {s.problem.text: s for s in solved}
        self.model, self.key, self.port = model, key, port
        self.split, self.vllm, self.context = split, vllm, context
        self.delay_s, self.cut = delay_s, cut
        self.faults, self.always = list(faults), always
        self.only = only  # `always` is for prompts with this text
        self.stop_after = stop_after  # answers; then it falls silent and drops its connections
        self._together = together  # nothing is answered before so many requests are open
        self.models: Fault | None = None  # instead of the list of models
        self.bodies: list[Json] = []
        self.paths: list[str] = []
        self.authorizations: list[str | None] = []
        self.answered = self.open = self.most_open = 0
        self._asked: Counter[str] = Counter()
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    # ── starting and stopping ────────────────────────────────────────────────────────────────────

    def __enter__(self) -> "ScriptedServer":
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def start(self) -> None:
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        assert self._ready.wait(10), "the scripted server does not start"

    def stop(self) -> None:
        if self._thread is not None:
            with contextlib.suppress(RuntimeError):  # it has stopped by itself
                self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(10)
            assert not self._thread.is_alive(), "the scripted server does not stop"
            self._thread = None

    async def _serve(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application(client_max_size=1 << 24)
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, shutdown_timeout=0.01, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        assert runner.addresses
        self.port = runner.addresses[0][1]
        self._ready.set()
        await self._stopping.wait()
        await site.stop()
        for connection in runner.server.connections if runner.server else []:
            if connection.transport is not None:
                connection.transport.abort()
        await runner.cleanup()

    # ── answering ────────────────────────────────────────────────────────────────────────────────

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.paths.append(request.path)
        self.authorizations.append(request.headers.get("Authorization"))
        if self.key and request.headers.get("Authorization") != f"Bearer {self.key}":
            given = request.headers.get("Authorization", "nothing")
            return web.json_response({"error": {"message": f"bad key: {given}"}}, status=401)
        if request.path == "/v1/models":
            return await self._fail(request, self.models) if self.models else self._list()
        answer = {"/v1/chat/completions": self._chat, "/v1/completions": self._complete}
        if request.path not in answer:
            return web.json_response({"detail": "Not Found"}, status=404)
        body = await request.json()
        self.bodies.append(body)
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            always = self.always if self.only in str(body) else None
            if fault := self.faults.pop(0) if self.faults else always:
                return await self._fail(request, fault)
            return await self._answer(request, body, answer[request.path])
        finally:
            self.open -= 1

    async def _answer(
        self, request: web.Request, body: Json, answer: Callable[[Json], Json]
    ) -> web.StreamResponse:
        if body["model"] != self.model:
            message = f"The model `{body['model']}` does not exist."
            return web.json_response({"error": {"message": message, "code": 404}}, status=404)
        limit = body.get("max_tokens", 0)
        if self.context is not None and limit > self.context:
            message = (
                f"max_tokens={limit} cannot be greater than max_model_len={self.context}. "
                "Please request fewer output tokens."
            )
            return web.json_response({"error": {"message": message, "code": 400}}, status=400)
        await asyncio.sleep(self.delay_s)
        while self.most_open < self._together:
            await asyncio.sleep(0.01)
        if self.stop_after is not None and self.answered >= self.stop_after:
            self._stopping.set()
            return await self._fail(request, Fault(how="hang"))
        self.answered += 1
        return web.json_response(answer(body))

    async def _fail(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        body = fault.body if isinstance(fault.body, str) else json.dumps(fault.body)
        if fault.how == "hang":
            await self._stopping.wait()
        if fault.how == "half":
            half = web.StreamResponse(headers={"Content-Length": "1000"})
            await half.prepare(request)
            await half.write(b'{"choices": [')
        if fault.how != "answer" and request.transport is not None:
            request.transport.abort()
        return web.Response(status=fault.status, text=body, headers=fault.headers)

    def _list(self) -> web.Response:
        row: Json = {"id": self.model, "object": "model"}
        if self.vllm:
            row |= {"owned_by": "vllm", "root": f"root/{self.model}", "max_model_len": self.context}
        return web.json_response({"object": "list", "data": [row]})

    def _chat(self, body: Json) -> Json:
        prompt = body["messages"][-1]["content"]
        reasoning, response, finish = self._solve(prompt)
        message: Json = {"role": "assistant", "content": response}
        if self.split == "content":
            end = "" if response is None else f"\n</think>\n\n{response}"
            message["content"] = f"<think>\n{reasoning}{end}"
        else:
            message[self.split] = reasoning
        return _reply({"message": message, "finish_reason": finish}, len(prompt), len(reasoning))

    def _complete(self, body: Json) -> Json:
        """Echoes the token ids, so that a test sees what arrived."""
        text = f"<think>\n{body['prompt']}\n</think>\n\n{body['max_tokens']}"
        return _reply({"text": text, "finish_reason": "stop"}, len(body["prompt"]), 4)

    def _solve(self, prompt: str) -> tuple[str, str | None, str]:
        """Reasoning, response (None: cut before it) and finish. A problem's asks are told apart by
        their order."""
        solved = next((s for text, s in self._solved.items() if prompt.startswith(text)), None)
        if solved is None:
            return f"You say {prompt!r}.", "\\boxed{0}", "stop"
        self._asked[solved.problem.id] += 1
        identity = Identity("", solved.problem.id, self._asked[solved.problem.id])
        if share(identity) < self.cut:
            return solved.reasoning[:20], None, "length"
        return solved.reasoning, solved.response, "stop"


def _reply(choice: Json, prompt_tokens: int, completion_tokens: int) -> Json:
    usage = {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens}
    return {"id": "1", "object": "x", "choices": [{"index": 0, **choice}], "usage": usage}
