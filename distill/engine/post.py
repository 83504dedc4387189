"""One POST to a server and what came of it: a response, or in words why there is none.

    async with open_session(key.headers()) as session:
        answer = await post(session, "http://127.0.0.1:8000/v1/chat/completions", body)
        answer.status, answer.body, answer.problem

An answer may take hours, so that only connecting has a time limit; that the other machine is gone,
TCP's keepalive finds out. Nothing is repeated here.
"""

import email.utils
import os
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

import aiohttp
from aiohttp.connector import AddrInfoType

from distill.engine.reply import read_complaint

CONNECT_S = 15.0
LARGEST = 256 << 20  # bytes of an answer, unpacked; a million tokens have 5 MB
AGAIN = (408, 409, 425, 429)  # statuses below 500 that pass


class Answer(NamedTuple):
    """A response, or why there is none. ``problem`` is set where asking again may mend it; ``taken``:
    the server had the request, so that the request itself may be what breaks it. ``odd``: asking again
    hardly mends it."""

    status: int = 0
    body: bytes = b""
    problem: str = ""
    taken: bool = False
    retry_after_s: float = 0.0
    location: str | None = None
    odd: bool = False


def open_session(headers: Mapping[str, str]) -> aiohttp.ClientSession:
    """To be called inside the loop that uses it. No limit on connections: the caller has one."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, socket_factory=_socket),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
        headers={"Content-Type": "application/json", **headers},
        cookie_jar=aiohttp.DummyCookieJar(),
    )


async def post(
    session: aiohttp.ClientSession, url: str, body: bytes, proxy: str | None = None
) -> Answer:
    """One attempt; an error of the network is an `Answer` too."""
    try:
        async with session.post(
            url, data=body, proxy=proxy,
            allow_redirects=False,  # the key would go along
        ) as response:  # fmt: skip
            read = await _read(response)
            if read is None:
                return Answer(
                    problem=f"an answer of more than {LARGEST:,} bytes", taken=True, odd=True
                )
            return _answer(response.status, read, response.headers)
    except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
        unreached = isinstance(error, (aiohttp.ClientConnectorError, TimeoutError))
        return Answer(problem=_why(error), taken=not unreached)


async def _read(response: aiohttp.ClientResponse) -> bytes | None:
    """The body; None where it is too large to be an answer."""
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > LARGEST:
            return None
    return bytes(body)


def _answer(status: int, body: bytes, headers: Mapping[str, str]) -> Answer:
    """A response, with the problem where another attempt may go better."""
    if status not in AGAIN and status < 500:
        return Answer(status, body, location=headers.get("Location"))
    says = read_complaint(body).message
    return Answer(
        status,
        problem=f"{status}, '{says}'" if says else str(status),
        taken=status not in (429, 503),
        retry_after_s=_retry_after(headers.get("Retry-After", "")),
    )


def _retry_after(text: str) -> float:
    """Seconds or a date; 0 where it is neither."""
    if text.strip().isdigit():
        return float(text[:9])
    try:
        then = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    return max(0.0, (then - datetime.now(UTC)).total_seconds())


def _why(error: Exception) -> str:
    """A network error in words."""
    if isinstance(error, TimeoutError):
        return f"no connection within {CONNECT_S:.0f} s"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the connection was closed before there was an answer"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "the connection was closed in the middle of an answer"
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, OSError) and cause.errno and cause.errno > 0:
        return os.strerror(cause.errno)
    if isinstance(cause, OSError) and cause.strerror:  # a name that does not resolve
        return cause.strerror
    return str(error) or type(error).__name__


def _socket(address: AddrInfoType) -> socket.socket:
    """A socket that notices within two minutes when the other machine is gone: without a limit on
    answers, nothing else would."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 6)):
        if hasattr(socket, option):
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    return made
