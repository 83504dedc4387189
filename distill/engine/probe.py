"""What does this URL serve? One question to a server before work starts; each mishap one sentence.

    served = probe("http://127.0.0.1:8000/v1", Key.none(), "Qwen/Qwen3-8B", "the card of 'mine'")
    served.id, served.max_model_len

Synchronous and short. No redirect is followed, since the key would go along. That the model also
answers is not tried here.
"""

import contextlib
import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from distill.engine.key import Key
from distill.engine.reply import Complaint, Listed, one_line, read_complaint, read_models, shorten
from distill.errors import DistillError, did_you_mean

TIMEOUT_S = 15.0  # for the whole answer
LARGEST = 16 << 20  # bytes of a model list; the longest public one has 1 MB
SHOWN = 8  # models that a message lists


def probe(url: str, key: Key, model: str | None, card: str) -> Listed:
    """The entry of a model in a server's list.

    ``card`` is what a message calls the place where the URL stands. ``model`` is an id, or the folder
    that the server loaded; None asks the server for its list only, to say it in the error.
    """
    models = list_models(url, key, card)
    ids = [listed.id for listed in models]
    if model is None:
        raise DistillError(
            f"{card} names no model: {url} lists {_some(ids)}; write the card to a file "
            "('distill cards teachers/endpoint > mine.yaml'), set 'model' in it and name that file "
            "as teacher"
        )
    for listed in models:
        if listed.id == model:
            return listed
    same = [listed for listed in models if listed.root == model]
    if len(same) == 1:  # served under another name
        return same[0]
    near = did_you_mean(model, ids)
    near = near if near.startswith("; did") else ""
    raise DistillError(
        f"{url} does not serve '{model}', it lists {_some(ids)}{near or ''}"
        f"{';' if not near else ''} set 'model' in {card} to what it serves"
    )


def list_models(url: str, key: Key, card: str) -> list[Listed]:
    """What ``URL/models`` lists; anything else is a `DistillError`."""
    check_url(url, card)
    proxy = proxy_for(url)
    opener = urllib.request.build_opener(
        _NoRedirect(), urllib.request.ProxyHandler({urlsplit(url).scheme: proxy} if proxy else {})
    )
    question = urllib.request.Request(
        f"{url}/models", headers={"Accept": "application/json", **key.headers()}
    )
    ends_by = time.monotonic() + TIMEOUT_S
    try:
        with opener.open(question, timeout=TIMEOUT_S) as answer:
            return read_models(b"".join(_pieces(answer, ends_by)))
    except urllib.error.HTTPError as error:
        pieces: list[bytes] = []
        with (
            error,
            contextlib.suppress(OSError, http.client.HTTPException),
        ):  # what has come will do
            pieces.extend(_pieces(error, ends_by))
        complaint, location = read_complaint(b"".join(pieces)), error.headers.get("Location")
        sentence = refused(url, error.code, complaint, key, card, location)
        raise DistillError(f"{sentence}{through(proxy)}") from None
    except (OSError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise DistillError(
            f"{url} cannot be reached ({key.hide(_why(reason))}{through(proxy)}): start the server, or "
            f"correct the address in {card}"
        ) from None
    except ValueError as error:
        raise DistillError(
            f"{url}/models lists no models ({shorten(key.hide(str(error)))}{through(proxy)}): "
            f"no OpenAI-compatible server is there; correct the address in {card}"
        ) from None


def refused(
    url: str, status: int, complaint: Complaint, key: Key, card: str, location: str | None = None
) -> str:
    """The sentence for a status that asking again does not change."""
    says = shorten(key.hide(complaint.message))
    said = f"{status}, '{says}'" if says else str(status)
    if status in (401, 403) and key:
        return (
            f"{url} does not accept the key in the environment variable {key.variable} ({said}): "
            f"correct it, or name another variable under 'key' in {card}"
        )
    if status in (401, 403):
        return (
            f"{url} wants a key ({said}): put it into the environment variable "
            f"{key.variable or 'DISTILL_API_KEY'}, which {card} names"
        )
    if status in (404, 405):
        ends = "" if url.endswith("/v1") else " (it usually ends in /v1)"
        return (
            f"{url} does not know the address or the model ({said}): correct 'urls'{ends} or 'model' "
            f"in {card}"
        )
    if 300 <= status < 400:
        to = f" to {shorten(key.hide(one_line(location)))}" if location else ""
        return f"{url} redirects{to}, where no key is sent: write the final address into {card}"
    if status == 429 or status >= 500:
        return f"{url} is not ready ({said}): when it is, the same command goes on from here"
    return f"{url} refuses what it is asked ({said}): see {card}"


def check_url(url: str, card: str) -> None:
    """An address that can be written into messages and put before ``/chat/completions``."""
    if any(mark in url for mark in "@?#"):
        # Not repeated: what stands there may be a key.
        raise DistillError(
            f"an address in {card} holds a user name, a password or a query: give the plain base URL, "
            "and the key in the environment variable that 'key' names"
        )
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not url.isascii() or " " in url:
        raise DistillError(
            f"'{url}' in {card} is no address: write it as http://HOST:PORT/v1 or https://HOST/v1"
        )


def proxy_for(url: str) -> str | None:
    """The proxy that the environment names for a URL; none for this machine's own addresses."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host in ("localhost", "::1") or host.startswith("127.") or urllib.request.proxy_bypass(host):
        return None
    return urllib.request.getproxies().get(parts.scheme)


def through(proxy: str | None) -> str:
    """The end of a sentence about a URL that was asked through a proxy: which one, without its
    password."""
    if proxy is None:
        return ""
    host = proxy.rpartition("@")[2].rpartition("//")[2].rstrip("/")
    return f"; asked through the proxy {shorten(one_line(host))}, which the environment names"


def _pieces(
    answer: http.client.HTTPResponse | urllib.error.HTTPError, ends_by: float
) -> Iterator[bytes]:
    """An answer as it comes, until time or size is used up. A server that sends a byte now and then
    never meets the limit of one read."""
    size = 0
    while size < LARGEST and (piece := answer.read1(1 << 16)):
        size += len(piece)
        yield piece
        if time.monotonic() > ends_by:
            raise TimeoutError


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: object, **kwargs: object) -> None:
        """Returning None makes the answer an `HTTPError`."""


def _why(reason: object) -> str:
    """An error of the network in words."""
    if isinstance(reason, TimeoutError):
        return f"no whole answer within {TIMEOUT_S:.0f} s"
    if isinstance(reason, OSError) and reason.strerror:
        return reason.strerror
    return shorten(str(reason) or type(reason).__name__)


def _some(ids: Sequence[str]) -> str:
    """``'a', 'b' and 3 more``."""
    if not ids:
        return "nothing"
    named = ", ".join(f"'{shorten(one_line(name))}'" for name in ids[:SHOWN])
    return named if len(ids) <= SHOWN else f"{named} and {len(ids) - SHOWN} more"
