"""Which engine answers: named by the user, else what this machine and the model's card allow.

engine = open_engine("auto", Served("tiny", "teachers/tiny"), say=print)
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from distill.cards import find, is_path, load_teacher, model_of, shipped
from distill.engine.endpoint import EndpointEngine
from distill.engine.local import LocalEngine
from distill.engine.protocol import Engine, Served
from distill.engine.vllm import find_vllm, has_gpu, start_server
from distill.errors import DistillError

Say = Callable[[str], object]


def teacher(name: str) -> Served:
    """What a teacher's card (a shipped name or a path) says about asking it."""
    card = load_teacher(name)
    own = is_path(name) and find(name, "teachers").resolve().parent != shipped("teachers").resolve()
    return Served(
        name=card.name,
        model=model_of(name),
        revision=card.revision,
        context=card.context,
        marks=card.marks,
        template_args=card.template_args,
        serve=card.serve,
        endpoint=card.endpoint,
        path=name if own else None,
    )


class Choice(NamedTuple):
    """An engine's kind, and why it was taken."""

    kind: str
    why: str


def choose(wanted: str, served: Served) -> Choice:
    """``auto``: the card's endpoint, else vLLM where it and a GPU exist, else the local engine."""
    if wanted != "auto":
        return Choice(wanted, "as asked")
    if served.endpoint is not None:
        return Choice("endpoint", f"{served.card} names one")
    if not has_gpu():
        return Choice("local", "no GPU here; --engine vllm asks for a server all the same")
    vllm = find_vllm()
    if vllm is None:
        return Choice(
            "local", "no vLLM here; install it, or name its Python by DISTILL_VLLM_PYTHON"
        )
    return Choice("vllm", f"vLLM {vllm.version} and a GPU are here")


def open_engine(
    kind: str,
    served: Served,
    *,
    batch: int = 256,
    seeded: bool = False,
    logs: Path | None = None,
    say: Say = lambda text: None,
) -> Engine:
    """Start what answers for a model; returns when it can be asked.

    ``batch``: rows of the local engine's static batch. ``seeded``: send a seed with each request to a
    server of our own on a GPU (in vLLM one seeded request slows its whole batch). ``logs``: folder of
    the server's log.

    Raises `DistillError` when it cannot be started or is not what the card says.
    """
    choice = choose(kind, served)
    say(f"engine for '{served.name}': {choice.kind} ({choice.why})")
    if choice.kind == "endpoint":
        # No seeds to a server whose kind we cannot know: see below what they do to vLLM on a CPU.
        return EndpointEngine.of_card(served, seeded=False)
    if served.model is None:
        raise DistillError(f"{served.card} names no model, so only an endpoint can serve it")
    if choice.kind == "local":
        return LocalEngine(
            served.model, batch=batch, revision=served.revision, template_args=served.template_args
        )
    server = start_server(served, logs=logs, say=say)
    try:
        # vLLM 0.32 on a CPU ends when a seeded request's prompt is read in pieces ("CPU Generator does
        # not use offset").
        return EndpointEngine.of_server(served, server, seeded=seeded and has_gpu())
    except BaseException:
        server.stop()
        raise
