"""The endpoint engine against a scripted server over real HTTP: whatever it sends, nothing hangs."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from scripted_server import Fault, Json, ScriptedServer

from distill.cards import Endpoint, find, load_teacher
from distill.engine.choose import teacher
from distill.engine.endpoint import EndpointEngine
from distill.engine.protocol import PromptTooLong, Reply, Request, Served
from distill.errors import DistillError, Missing
from distill.types import Identity, Message, Sampling

TINY = str(Path(__file__).parent.parent.parent / "teachers/tiny")
CANARY = "sk-canary/9d2f7a31"
PATIENCE_S = 0.5


def served(*servers: ScriptedServer, model: str | None = "scripted", **endpoint: object) -> Served:
    urls = [server.url for server in servers]
    return Served("mine", model, endpoint=Endpoint(urls=urls, **endpoint))  # type: ignore[arg-type]


def request(number: int = 0, text: str = "7 + 5?", **more: object) -> Request:
    sampling = Sampling(temperature=0.5, max_tokens=100)
    messages = [Message(role="user", content=text)]
    return Request(Identity("s", f"p{number}", 0), messages, sampling, **more)  # type: ignore[arg-type]


def ask_all(engine: EndpointEngine, requests: Sequence[Request]) -> list[Reply]:
    async def go() -> list[Reply]:
        try:
            async with asyncio.timeout(20):
                return await asyncio.gather(*(engine.ask(request) for request in requests))
        finally:
            await engine.close()

    return asyncio.run(go())


def ask(*servers: ScriptedServer, asking: Request | None = None, seeded: bool = False) -> Reply:
    engine = EndpointEngine.of_card(served(*servers), seeded=seeded, patience_s=PATIENCE_S)
    return ask_all(engine, [asking or request()])[0]


# ── before the first request ─────────────────────────────────────────────────────────────────────

MODELS = [
    (Fault(401, {"error": "Unauthorized"}), "wants a key (401, 'Unauthorized'): put it into the "),
    (Fault(403, "no"), "environment variable DISTILL_API_KEY"),
    (Fault(404, {"detail": "Not Found"}), "does not know the address or the model (404, 'Not Found')"),
    (Fault(200, "<html>hello"), "lists no models (not JSON"),
    (Fault(200, {"models": []}), "lists no models"),
    (Fault(200, {"data": []}), "does not serve 'scripted', it lists nothing; set 'model'"),
    (Fault(200, {"data": [{"id": "scriptet"}]}), "it lists 'scriptet'; did you mean 'scriptet'?"),
    (Fault(200, {"data": [{"id": f"m{n}"} for n in range(20)]}), "'m7' and 12 more; set 'model' in"),
    (Fault(503, {"error": {"message": "Loading model", "code": 503}}), "(503, 'Loading model')"),
    (Fault(429, "slow"), "is not ready"),
    (Fault(302, "", {"Location": "http://elsewhere/v1"}), "redirects to http://elsewhere/v1"),
    (Fault(402, {"error": {"message": "Pay\nfirst\x1b[2J"}}), "(402, 'Pay first [2J'): see the card"),
    (Fault(how="reset"), "cannot be reached"),
]  # fmt: skip


@pytest.mark.parametrize(("fault", "sentence"), MODELS)
def test_a_server_that_does_not_list_the_model_is_one_sentence(fault: Fault, sentence: str) -> None:
    with ScriptedServer() as server:
        server.models = fault
        with pytest.raises(DistillError) as caught:
            EndpointEngine.of_card(served(server), seeded=False)
        assert server.paths == ["/v1/models"]
    message = str(caught.value)
    assert sentence in message and server.url in message
    assert "\n" not in message and not message.endswith(".")


ADDRESSES = [
    ("localhost:8000/v1", "is no address: write it as http://HOST:PORT/v1"),
    ("ftp://host/v1", "is no address"),
    ("http://host:99999/v1", "is no address"),
    ("http://", "is no address"),
    (f"http://me:{CANARY}@host/v1", "holds a user name, a password or a query"),
    (f"http://host/v1?key={CANARY}", "holds a user name, a password or a query"),
    ("http://127.0.0.1:1/v1", "cannot be reached (Connection refused): start the server"),
    ("https://127.0.0.1:{port}/v1", "cannot be reached"),
    ("http://127.0.0.1:{port}", "(it usually ends in /v1)"),
]


@pytest.mark.parametrize(("url", "sentence"), ADDRESSES)
def test_a_wrong_address_is_one_sentence(url: str, sentence: str) -> None:
    with ScriptedServer() as server:
        card = Endpoint(urls=[url.format(port=server.port)])
        with pytest.raises(DistillError) as caught:
            EndpointEngine.of_card(Served("mine", "scripted", endpoint=card), seeded=False)
    assert sentence in str(caught.value) and CANARY not in str(caught.value)


def test_every_url_is_asked_first() -> None:
    with (
        ScriptedServer() as one,
        ScriptedServer(model="other") as two,
        pytest.raises(DistillError, match=f":{two.port}/v1 does not serve 'scripted'"),
    ):
        EndpointEngine.of_card(served(one, two), seeded=False)


def test_a_card_without_a_model_is_told_what_the_server_lists() -> None:
    says = pytest.raises(DistillError, match="lists 'big-one'.*distill cards teachers/endpoint")
    with ScriptedServer(model="big-one") as server, says:
        EndpointEngine.of_card(served(server, model=None), seeded=False)


def test_a_card_without_an_endpoint_says_so() -> None:
    with pytest.raises(DistillError, match="the card of 'mine' names no endpoint"):
        EndpointEngine.of_card(Served("mine", "scripted"), seeded=False)


def test_messages_name_a_copy_of_a_card_by_its_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: endpoint\nmodel: m\nendpoint: {urls: [http://127.0.0.1:1/v1]}\n")
    assert teacher("endpoint").card == "the card of 'endpoint'"
    shipped_by_path = str(find("endpoint", "teachers"))
    assert teacher(shipped_by_path).card == "the card of 'endpoint'"
    with pytest.raises(DistillError, match=f"the card {path}"):
        EndpointEngine.of_card(teacher(str(path)), seeded=False)


def test_the_shipped_endpoint_card_leads_to_an_endpoint() -> None:
    assert load_teacher("endpoint").endpoint is not None


def test_a_model_that_is_served_under_another_name_is_found_by_its_root() -> None:
    with ScriptedServer(model="short", vllm=True) as server:
        engine = EndpointEngine.of_card(served(server, model="root/short"), seeded=False)
        ask_all(engine, [request()])
    assert server.bodies[0]["model"] == "short"


# ── keys ─────────────────────────────────────────────────────────────────────────────────────────


def test_the_key_is_sent_where_it_is_set_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTILL_API_KEY", f" {CANARY}\n")
    with ScriptedServer(key=CANARY) as server:
        ask(server)
    assert set(server.authorizations) == {f"Bearer {CANARY}"}
    monkeypatch.delenv("DISTILL_API_KEY")
    with ScriptedServer() as server:
        ask(server)
    assert set(server.authorizations) == {None}


def test_the_variable_is_the_one_that_the_card_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", CANARY)
    with ScriptedServer(key=CANARY) as server:
        engine = EndpointEngine.of_card(served(server, key="MY_KEY"), seeded=False)
        ask_all(engine, [request()])


def test_a_key_that_is_none_is_refused_unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTILL_API_KEY", f"{CANARY}\nX-Other: 1")
    says = pytest.raises(DistillError, match="DISTILL_API_KEY holds characters")
    with ScriptedServer() as server, says as caught:
        EndpointEngine.of_card(served(server), seeded=False)
    assert CANARY not in str(caught.value)


ECHOES = [
    Fault(401, {"error": {"message": f"Incorrect API key provided: Bearer {CANARY}."}}),
    Fault(400, f"<pre>Authorization: bearer {CANARY.upper()}</pre>"),
    Fault(404, {"detail": [{"input": {"Authorization": f"Bearer {CANARY}"}}]}),
    Fault(307, "", {"Location": f"http://elsewhere/v1?key={CANARY.replace('/', '%2F')}"}),
    Fault(500, "x" * 280 + CANARY),
    Fault(200, f"{CANARY} is no JSON"),
    Fault(200, {"choices": CANARY}),
    Fault(400, {"error": {"message": f"prompt is too long: {CANARY}"}}),
]


@pytest.mark.parametrize("when", ["first", "later"])
@pytest.mark.parametrize("fault", ECHOES)
def test_no_message_holds_the_key_even_if_the_server_repeats_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fault: Fault, when: str
) -> None:
    monkeypatch.setenv("DISTILL_API_KEY", CANARY)
    with ScriptedServer(key=CANARY, always=fault) as server:
        server.models = fault if when == "first" else None
        with pytest.raises(DistillError) as caught:
            engine = EndpointEngine.of_card(served(server), seeded=False, patience_s=PATIENCE_S)
            assert CANARY not in repr(engine) + repr(vars(engine))
            ask_all(engine, [request()])
    shown = str(caught.value) + repr(caught.value) + caplog.text
    for spelling in (CANARY, CANARY[:8], CANARY.replace("/", "%2F")):
        assert spelling.lower() not in shown.lower()


@pytest.mark.parametrize("when", ["first", "later"])
def test_a_wrong_key_names_its_variable(monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    monkeypatch.setenv("DISTILL_API_KEY", CANARY)
    says = pytest.raises(DistillError, match="key in the environment variable DISTILL_API_KEY")
    with ScriptedServer(key="another" if when == "first" else CANARY) as server, says:
        engine = EndpointEngine.of_card(served(server), seeded=False)
        server.key = "another"
        ask_all(engine, [request()])


def test_a_redirect_is_not_followed_with_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTILL_API_KEY", CANARY)
    with ScriptedServer() as thief, ScriptedServer(key=CANARY) as server:
        there = {"Location": f"{thief.url}/chat/completions"}
        server.always = Fault(307, "", there)
        with pytest.raises(DistillError, match="redirects to http://127.0.0.1.*final address"):
            ask(server)
        server.models = Fault(302, "", {"Location": f"{thief.url}/models"})
        with pytest.raises(DistillError, match="redirects to"):
            ask(server)
    assert thief.paths == []


# ── what is asked ────────────────────────────────────────────────────────────────────────────────


def test_a_chat_sends_openai_fields_and_no_others() -> None:
    with ScriptedServer() as server:
        ask(server)
    assert server.bodies == [
        {
            "model": "scripted",
            "messages": [{"role": "user", "content": "7 + 5?"}],
            "temperature": 0.5,
            "top_p": 1.0,
            "max_tokens": 100,
        }
    ]


def test_vllm_is_told_not_to_take_sampling_settings_from_the_model() -> None:
    with ScriptedServer(vllm=True, context=1000) as server:
        ask(server)
        ask(server, asking=request()._replace(sampling=Sampling(top_k=7)))
    first, second = server.bodies
    assert (first["top_k"], first["min_p"], first["repetition_penalty"]) == (-1, 0, 1)
    assert second["top_k"] == 7


def test_seeds_differ_between_samples_and_stay_the_same() -> None:
    sampling = Sampling(top_k=20)
    asked = [
        Request(Identity("s", "p", n), [Message(role="user", content="?")], sampling, seed=3)
        for n in range(50)
    ]
    with ScriptedServer() as server:
        for _ in range(2):
            ask_all(EndpointEngine.of_card(served(server), seeded=True), asked)
    seeds = [body["seed"] for body in server.bodies]
    assert len(set(seeds)) == 50 and sorted(seeds[:50]) == sorted(seeds[50:])
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert all(body["top_k"] == 20 for body in server.bodies)


def test_template_args_reach_the_servers_template() -> None:
    with ScriptedServer() as server:
        card = served(server)._replace(template_args={"reasoning_effort": "high"})
        ask_all(EndpointEngine.of_card(card, seeded=False), [request()])
    assert server.bodies[0]["chat_template_kwargs"] == {"reasoning_effort": "high"}


def test_a_tokenizer_that_is_not_there_is_one_sentence_with_ways_out(tmp_path: Path) -> None:
    from distill.engine.render import Renderer

    with pytest.raises(Missing, match="HF_HUB_OFFLINE.*'api: chat'") as caught:
        Renderer(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_completions_send_the_token_ids_of_the_one_rendering() -> None:
    from distill.engine.render import Renderer

    messages = [Message(role="user", content="A jar holds 7 beans.")]
    ids = Renderer(TINY).ids(messages)
    with ScriptedServer(model=TINY) as server:
        card = served(server, model=TINY, api="completions")._replace(context=len(ids) + 30)
        engine = EndpointEngine.of_card(card, seeded=False)
        (reply,) = ask_all(engine, [request(text=messages[0].content)])
    # The context's room, not the 100 of the request.
    assert reply.text == f"<think>\n{ids}\n</think>\n\n30"
    assert reply.prompt_tokens == len(ids) and reply.reasoning is None


def test_a_prefix_goes_through_completions_since_a_chat_cannot_say_it() -> None:
    from distill.engine.render import Renderer

    asked = request(text="A jar holds 7 beans.", prefix="<think>\n7 +")
    with ScriptedServer(model=TINY) as server:
        engine = EndpointEngine.of_card(served(server, model=TINY), seeded=False)
        ask_all(engine, [asked])
    assert server.bodies[0]["prompt"] == Renderer(TINY).ids(asked.messages, asked.prefix)


def test_a_prompt_without_room_in_the_context_is_never_sent() -> None:
    with ScriptedServer(model=TINY) as server:
        card = served(server, model=TINY, api="completions")._replace(context=5)
        with pytest.raises(PromptTooLong, match="does not fit a context of 5"):
            ask_all(EndpointEngine.of_card(card, seeded=False), [request(text="A jar holds 7.")])
    assert server.bodies == []


def test_a_chat_asks_for_no_more_than_the_context_that_the_server_lists() -> None:
    with ScriptedServer(vllm=True, context=40) as server:
        ask(server)
    assert server.bodies[0]["max_tokens"] == 40


LIMITS = [
    # vLLM 0.32; OpenAI, DeepSeek and older vLLM; SGLang
    ("max_tokens=100 cannot be greater than max_model_len=64. Please request fewer.", 64),
    ("This model's maximum context length is 64 tokens. However, you requested 120 tokens (20 in the "
     "messages, 100 in the completion). Please reduce the length of the messages or completion.", 44),
    ("Requested token count exceeds the model's maximum context length of 64 tokens. You requested a "
     "total of 120 tokens: 20 tokens from the input messages and 100 tokens for the completion.", 44),
    ("'max_tokens' or 'max_completion_tokens' is too large: 100. This model's maximum context length is "
     "64 tokens and your request has 20 input tokens (100 > 64 - 20).", 44),
    ("max_tokens is too large: 100. This model supports at most 60 completion tokens.", 60),
]  # fmt: skip


@pytest.mark.parametrize(("message", "fits"), LIMITS)
def test_a_limit_that_the_server_names_is_kept(message: str, fits: int) -> None:
    with ScriptedServer(faults=[Fault(400, {"error": {"message": message}})]) as server:
        assert ask(server).finish == "stop"
    assert [body["max_tokens"] for body in server.bodies] == [100, fits]


def test_a_limit_is_renamed_where_the_server_wants_the_new_name_and_it_stays_so() -> None:
    message = "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
    message += "'max_completion_tokens' instead."
    with ScriptedServer(faults=[Fault(400, {"error": {"message": message}})]) as server:
        engine = EndpointEngine.of_card(served(server, in_flight=1), seeded=False)

        async def go() -> None:
            await engine.ask(request(0))
            await engine.ask(request(1))
            await engine.close()

        asyncio.run(go())
    limits = [(b.get("max_tokens"), b.get("max_completion_tokens")) for b in server.bodies]
    assert limits == [(100, None), (None, 100), (None, 100)]


TOO_LONG: list[Json] = [
    # vLLM 0.32: before tokenizing, after it, without room for one token; SGLang; OpenAI; llama.cpp
    {"message": "This model's maximum context length is 64 tokens. However, your prompt contains 9999 "
     "characters (more than 512 characters, which is the upper bound for 64 input tokens)."},
    {"message": "This model's maximum context length is 64 tokens. However, your prompt contains at least "
     "65 input tokens, which exceeds this limit even without any output tokens."},
    {"message": "max_tokens must be at least 1, got 0. (parameter=max_tokens, value=0)"},
    {"message": "The decoder prompt (length 64) plus the number of requested output tokens (at least 1) "
     "is longer than the maximum model length of 64."},
    {"message": "The input (5000 tokens) is longer than the model's context length (4096 tokens)."},
    {"message": "Too much.", "code": "context_length_exceeded"},
    {"message": "This model's maximum context length is 64 tokens. However, you requested 165 tokens (65 "
     "in the messages, 100 in the completion)."},
    {"message": "the request exceeds the available context size. try increasing the context size",
     "type": "exceed_context_size_error", "code": 400, "n_prompt_tokens": 14429, "n_ctx": 8192},
]  # fmt: skip


@pytest.mark.parametrize("error", TOO_LONG)
def test_a_prompt_that_the_server_finds_too_long_is_asked_once(error: Json) -> None:
    with (
        ScriptedServer(always=Fault(400, {"error": error})) as server,
        pytest.raises(PromptTooLong),
    ):
        ask(server)
    assert len(server.bodies) == 1


FINAL = [
    (Fault(400, {"error": {"message": "top_p must be in (0, 1]"}}), "(400, 'top_p must be in (0, 1]')"),
    (Fault(422, {"detail": [{"msg": "Field required"}]}), "Field required"),
    (Fault(403, {"error": "no"}), "wants a key (403, 'no')"),
    (Fault(404, {"message": "The model `scripted` does not exist.", "code": 404}), "does not exist"),
    (Fault(402, {"error": {"message": "Insufficient Balance"}}), "'Insufficient Balance'"),
    (Fault(400, ("long " * 1000)), "…"),
]  # fmt: skip


@pytest.mark.parametrize(("fault", "sentence"), FINAL)
def test_what_no_repetition_mends_ends_it_at_once(fault: Fault, sentence: str) -> None:
    with ScriptedServer(always=fault) as server, pytest.raises(DistillError) as caught:
        ask(server)
    assert len(server.bodies) == 1
    message = str(caught.value)
    assert sentence in message and server.url in message and "\n" not in message
    assert "what was finished is kept" in message and len(message) < 700
