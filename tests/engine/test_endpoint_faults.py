"""The endpoint engine while servers are busy, broken, dead or gone, over real HTTP."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Sequence

import pytest
from scripted_server import Fault, ScriptedServer

from distill.cards import Endpoint
from distill.engine import post, probe
from distill.engine.endpoint import ATTEMPTS, ODD_ATTEMPTS, EndpointEngine
from distill.engine.key import Key
from distill.engine.protocol import Reply, Request, Served
from distill.errors import DistillError
from distill.types import Identity, Message, Sampling

PATIENCE_S = 0.5


def open_engine(*servers: ScriptedServer, patience_s: float = PATIENCE_S) -> EndpointEngine:
    card = Endpoint(urls=[server.url for server in servers])
    served = Served("mine", "scripted", endpoint=card)
    return EndpointEngine.of_card(served, seeded=False, patience_s=patience_s)


def request(number: int = 0, text: str = "7 + 5?") -> Request:
    sampling = Sampling(temperature=0.5, max_tokens=100)
    return Request(Identity("s", f"p{number}", 0), [Message(role="user", content=text)], sampling)


def ask_all(engine: EndpointEngine, requests: Sequence[Request]) -> list[Reply]:
    async def go() -> list[Reply]:
        try:
            async with asyncio.timeout(20):
                return await asyncio.gather(*(engine.ask(request) for request in requests))
        finally:
            await engine.close()

    return asyncio.run(go())


# ── what is tried again ──────────────────────────────────────────────────────────────────────────

PASSING = [
    *(Fault(status, "busy") for status in (408, 429, 500, 502, 503, 504, 529)),
    Fault(how="reset"),
    Fault(how="half"),
    Fault(200, "<html>"),
    Fault(200, ""),
    Fault(200, {"choices": []}),
    Fault(200, {"choices": [{"message": {"content": 7}}]}),
    Fault(200, {"error": {"message": "upstream"}}),
    Fault(200, {"choices": [{"message": {"content": "half"}, "finish_reason": "error"}]}),
]


@pytest.mark.parametrize("fault", PASSING)
def test_what_may_pass_is_tried_again(fault: Fault) -> None:
    with ScriptedServer(faults=[fault, fault]) as server:
        assert ask_all(open_engine(server), [request()])[0].finish == "stop"
    assert len(server.bodies) == 3
    assert server.bodies[0] == server.bodies[2]


LAST_WORDS = [
    (Fault(503, {"error": {"message": "overloaded"}}), "503, 'overloaded'"),
    (Fault(429, "slow down"), "429, 'slow down'"),
    (Fault(how="reset"), "connection was closed before there was an answer"),
    (Fault(how="half"), "closed in the middle of an answer"),
    (Fault(200, "<html>"), "200, but not JSON"),
]


@pytest.mark.parametrize(("fault", "sentence"), LAST_WORDS)
def test_patience_ends_with_the_url_and_its_last_words(fault: Fault, sentence: str) -> None:
    with ScriptedServer(always=fault) as server:
        engine = open_engine(server)
        with pytest.raises(DistillError) as caught:
            ask_all(engine, [request()])
    message = str(caught.value)
    assert message.startswith(f"{server.url} ") and sentence in message and "\n" not in message
    assert message.endswith("what was finished is kept, and the same command goes on from there")
    assert 4 <= len(server.bodies) <= 14


def test_a_request_that_alone_keeps_failing_ends_it_too() -> None:
    """Others succeed all the while, so that patience never ends."""

    async def go(server: ScriptedServer) -> None:
        engine = open_engine_now

        async def others() -> None:
            while True:
                await engine.ask(request(1))
                await asyncio.sleep(0.01)

        busy = asyncio.create_task(others())
        try:
            async with asyncio.timeout(20):
                await engine.ask(request(0, "poison"))
        finally:
            busy.cancel()
            await asyncio.gather(busy, return_exceptions=True)
            await engine.close()

    with ScriptedServer(always=Fault(500, "boom"), only="poison") as server:
        open_engine_now = open_engine(server)
        with pytest.raises(
            DistillError, match=f"failed {ATTEMPTS} times on problem 'p0', sample 0"
        ):
            asyncio.run(go(server))
    assert sum("poison" in str(body) for body in server.bodies) == ATTEMPTS


def test_answers_of_another_shape_are_not_asked_for_for_long() -> None:
    says = pytest.raises(DistillError, match="failed 4 times on problem 'p0'.*`choices`")
    with ScriptedServer(always=Fault(200, {"answer": "12"})) as server, says:
        ask_all(open_engine(server, patience_s=10), [request()])
    assert len(server.bodies) == ODD_ATTEMPTS


def test_an_answer_without_end_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(post, "LARGEST", 100_000)
    says = pytest.raises(DistillError, match="an answer of more than 100,000 bytes")
    with ScriptedServer(always=Fault(200, "x" * 200_000)) as server, says:
        ask_all(open_engine(server, patience_s=10), [request()])
    assert len(server.bodies) == ODD_ATTEMPTS


def test_a_list_of_models_that_drips_has_a_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "TIMEOUT_S", 0.5)
    started = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip() -> None:
            connection, _ = listening.accept()
            with connection, contextlib.suppress(OSError):
                connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
                while time.monotonic() - started < 10:
                    connection.sendall(b" ")
                    time.sleep(0.05)

        thread = threading.Thread(target=drip)
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        with pytest.raises(DistillError, match="no whole answer within"):
            probe.list_models(url, Key.none(), "the card")
        assert time.monotonic() - started < 3
        thread.join()


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_is_left_alone_for_as_long_as_it_says(status: int) -> None:
    with ScriptedServer(faults=[Fault(status, "", {"Retry-After": "1"})]) as server:
        started = time.monotonic()
        ask_all(open_engine(server, patience_s=10), [request()])
    assert 1.0 <= time.monotonic() - started < 5


def test_a_server_that_wants_more_time_than_patience_has_gets_what_is_left() -> None:
    with ScriptedServer(always=Fault(429, "tomorrow", {"Retry-After": "86400"})) as server:
        started = time.monotonic()
        with pytest.raises(DistillError, match="429, 'tomorrow'"):
            ask_all(open_engine(server), [request()])
    assert len(server.bodies) == 2 and time.monotonic() - started < 3 * PATIENCE_S


def test_a_date_to_come_back_at_is_understood() -> None:
    from email.utils import formatdate

    from distill.engine.post import _retry_after

    assert 8 < _retry_after(formatdate(time.time() + 10, usegmt=True)) <= 10
    assert _retry_after(formatdate(time.time() - 10, usegmt=True)) == 0
    for text, seconds in (("2", 2), (" 3 ", 3), ("", 0), ("soon", 0), ("-5", 0), ("9" * 99, 1e9)):
        assert _retry_after(text) == pytest.approx(seconds, rel=1e-6)


# ── several servers ──────────────────────────────────────────────────────────────────────────────


def test_requests_go_to_the_server_with_the_fewest_open() -> None:
    with ScriptedServer(delay_s=0.05) as fast, ScriptedServer(delay_s=0.4) as slow:
        engine = open_engine(fast, slow)

        async def go() -> None:
            lanes = asyncio.Queue[int]()
            for number in range(40):
                lanes.put_nowait(number)

            async def worker() -> None:
                while not lanes.empty():
                    await engine.ask(request(lanes.get_nowait()))

            await asyncio.gather(*(worker() for _ in range(8)))
            await engine.close()

        asyncio.run(go())
    assert len(fast.bodies) + len(slow.bodies) == 40
    assert len(fast.bodies) > 2 * len(slow.bodies) > 0


def test_a_server_that_fails_is_left_alone_while_another_works() -> None:
    """It has the fewest open requests all the time."""
    with ScriptedServer(delay_s=0.01) as well, ScriptedServer(always=Fault(503)) as sick:
        engine = open_engine(well, sick, patience_s=60)

        async def go() -> None:
            async def worker() -> None:
                for number in range(20):
                    await engine.ask(request(number))

            await asyncio.gather(*(worker() for _ in range(8)))
            await engine.close()

        asyncio.run(go())
    assert well.answered == 160 and 1 <= len(sick.bodies) <= 8


def test_of_several_servers_one_may_die() -> None:
    with ScriptedServer(delay_s=0.02) as one, ScriptedServer(delay_s=0.02, stop_after=5) as two:
        engine = open_engine(one, two, patience_s=1.0)
        replies = ask_all(engine, [request(n) for n in range(60)])
    assert len(replies) == 60 and all(reply.finish == "stop" for reply in replies)
    assert two.answered == 5 and one.answered == 55


def test_a_server_that_comes_back_within_patience_is_used_again() -> None:
    with ScriptedServer(stop_after=3) as server:
        engine = open_engine(server, patience_s=20)

        async def go() -> list[Reply]:
            asking = asyncio.gather(*(engine.ask(request(n)) for n in range(10)))
            await asyncio.sleep(0.3)
            server.stop()
            server.stop_after = None
            server.start()
            replies = await asking
            await engine.close()
            return replies

        assert len(asyncio.run(go())) == 10
    assert server.answered == 10


def test_an_old_outage_does_not_count_against_requests_that_are_at_work() -> None:
    """Patience is 0.5 s. After a few failures the server works on everything for 1.5 s without a reply;
    one failure in between is no reason to give up."""
    with ScriptedServer(delay_s=1.5, faults=[Fault(503)] * 8) as server:
        engine = open_engine(server, patience_s=0.5)

        async def go() -> None:
            held = [asyncio.create_task(engine.ask(request(n))) for n in range(4)]
            await asyncio.sleep(1.0)
            server.faults.append(Fault(503))
            await asyncio.gather(engine.ask(request(9)), *held)
            await engine.close()

        asyncio.run(go())
    assert server.answered == 5


# ── many, and the end ────────────────────────────────────────────────────────────────────────────


def test_512_requests_are_open_at_once() -> None:
    with ScriptedServer(together=512) as server:
        replies = ask_all(open_engine(server), [request(n) for n in range(512)])
    assert len(replies) == 512 and server.most_open == 512


@pytest.mark.parametrize("fault", [Fault(how="hang"), Fault(503, "", {"Retry-After": "60"})])
def test_closing_while_requests_are_open_ends_them(fault: Fault) -> None:
    with ScriptedServer(always=fault) as server:
        engine = open_engine(server, patience_s=100)

        async def go() -> None:
            asked = [asyncio.create_task(engine.ask(request(n))) for n in range(20)]
            while len(server.bodies) < 20:
                await asyncio.sleep(0.01)
            await engine.close()
            async with asyncio.timeout(5):
                ends = await asyncio.gather(*asked, return_exceptions=True)
            assert all(isinstance(end, asyncio.CancelledError) for end in ends)
            await engine.close()
            with pytest.raises(asyncio.CancelledError):
                await engine.ask(request())

        asyncio.run(go())


def test_a_cancelled_request_leaves_nothing_open() -> None:
    with ScriptedServer(always=Fault(how="hang"), only="hang") as server:
        engine = open_engine(server)

        async def go() -> Reply:
            hanging = asyncio.create_task(engine.ask(request(0, "hang")))
            await asyncio.sleep(0.1)
            hanging.cancel()
            await asyncio.gather(hanging, return_exceptions=True)
            try:
                return await engine.ask(request(1))
            finally:
                await engine.close()

        assert asyncio.run(go()).finish == "stop"
    assert [base.open for base in engine._bases] == [0] and engine._attempts == {}


# ── servers of ours ──────────────────────────────────────────────────────────────────────────────


class Ours:
    """What `EndpointEngine` knows of a server that we started."""

    def __init__(self, server: ScriptedServer) -> None:
        self.name, self.url, self.stops = server.model, server.url, 0
        self._server = server

    def check(self) -> None:
        if self._server._thread is not None and not self._server._thread.is_alive():
            raise DistillError("the server has died; its log ends: out of memory")

    def stop(self) -> None:
        self.stops += 1


def test_a_server_of_ours_that_dies_shows_its_log_at_once() -> None:
    with ScriptedServer(model="student", stop_after=2) as server:
        ours, served = Ours(server), Served("student", "/m")
        engine = EndpointEngine.of_server(served, ours, seeded=True, patience_s=10)
        started = time.monotonic()
        with pytest.raises(BaseExceptionGroup) as caught:
            asyncio.run(in_group(engine))
    assert caught.group_contains(DistillError, match="its log ends: out of memory")
    assert time.monotonic() - started < 5 and ours.stops >= 1
    assert (engine.name, server.answered) == ("vllm", 2)


async def in_group(engine: EndpointEngine) -> None:
    """As the production loop does: the first error cancels the others."""
    try:
        async with asyncio.TaskGroup() as group:
            for number in range(8):
                group.create_task(engine.ask(request(number)))
    finally:
        await engine.close()
        await engine.close()


def test_a_server_of_ours_that_serves_something_else_is_one_sentence() -> None:
    with ScriptedServer(model="other") as server:
        ours = Ours(server)
        ours.name = "student"
        with pytest.raises(DistillError, match="does not serve 'student', it lists 'other'"):
            EndpointEngine.of_server(Served("student", "/m"), ours, seeded=True)


def test_a_server_of_ours_gets_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTILL_API_KEY", "sk-secret")
    with ScriptedServer() as server:
        engine = EndpointEngine.of_server(Served("m", "/m"), Ours(server), seeded=True)
        ask_all(engine, [request()])
    assert set(server.authorizations) == {None} and "seed" in server.bodies[0]


def test_a_proxy_of_the_environment_is_used_for_other_machines_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with ScriptedServer() as proxy, ScriptedServer() as near:
        for name in ("http_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        far = Served("far", "scripted", endpoint=Endpoint(urls=["http://teacher.invalid/v1"]))
        ask_all(EndpointEngine.of_card(far, seeded=False), [request()])
        assert proxy.paths == ["/v1/models", "/v1/chat/completions"]
        ask_all(open_engine(near), [request()])
        assert len(proxy.paths) == 2 and len(near.paths) == 2


def test_what_fails_behind_a_proxy_names_it_without_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    far = Served("far", "scripted", endpoint=Endpoint(urls=["http://teacher.invalid/v1"]))
    with ScriptedServer(always=Fault(503, "busy")) as proxy:
        address, port = f"http://me:s3cret@127.0.0.1:{proxy.port}", proxy.port
        for name in ("http_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, address)
        with pytest.raises(DistillError) as later:
            ask_all(EndpointEngine.of_card(far, seeded=False, patience_s=PATIENCE_S), [request()])
        proxy.models = Fault(403, "no")
        with pytest.raises(DistillError) as refused:
            EndpointEngine.of_card(far, seeded=False)
    with pytest.raises(DistillError) as gone:
        EndpointEngine.of_card(far, seeded=False)
    for caught in (later, refused, gone):
        assert f"through the proxy 127.0.0.1:{port}" in str(caught.value)
        assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("proxy", ["p:3128", "me:a/b@p:3128", "http://me:a@p:3128/", "//p:3128"])
def test_a_proxy_is_named_however_it_is_written(proxy: str) -> None:
    assert "the proxy p:3128, " in probe.through(proxy)


# ── keys ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_key_where_its_variable_s_name_belongs_is_not_repeated() -> None:
    with pytest.raises(DistillError, match="no name of an environment variable") as caught:
        Key.of_variable("sk-secret-1")
    assert "secret" not in str(caught.value)


def test_a_key_of_a_few_letters_is_left_in_sentences() -> None:
    assert Key("K", "x").hide("an example") == "an example"
    assert Key("K", "sk-123").hide("bad key sk-123") == "bad key [key]"
