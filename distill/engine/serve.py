"""``distill serve``: vLLM for one card or model folder, in the foreground, until Ctrl-C.

    serve("teachers/tiny", host="127.0.0.1", port=8000, extra_args=[], say=print, out=print)

For looking at a model, or for asking it from several runs or machines. `generate` and `eval` start and
stop a server of their own.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from distill.cards import Student, Teacher, find_card, local_model
from distill.engine.choose import teacher
from distill.engine.protocol import Served
from distill.engine.vllm import PRIVATE, start_server
from distill.errors import DistillError, Missing

Say = Callable[[str], object]

LOOK_EVERY_S = 0.5


def to_serve(card: str) -> Served:
    """What a card's name or path, or a model folder, says is to be served."""
    folder = Path(card).resolve()
    if (folder / "config.json").is_file():
        return Served(name=folder.name, model=str(folder))
    try:
        found, path = find_card(card, among=("teachers", "students"))
    except DistillError:
        if folder.is_dir():
            raise Missing(f"{card}: no model there (no config.json)") from None
        raise
    if isinstance(found, Teacher):
        served = teacher(str(path))
        if served.model is None:
            raise DistillError(f"{served.card} names no model that could be served")
        return served
    if not isinstance(found, Student):
        raise DistillError(f"{card} is no model: name a teacher, a student or a model folder")
    if found.model is None:
        raise DistillError(
            f"student '{found.name}' starts at random, so that there is nothing to serve yet: train it "
            f"and name its folder ('distill serve run/students/{found.name}')"
        )
    # With rope_theta, the context is what training makes of the model: its config.json says less, and
    # vLLM refuses more than that.
    context = found.context if found.rope_theta is None else None
    return Served(
        name=found.name, model=local_model(str(path), "students", found.model),
        revision=found.revision, context=context, marks=found.marks, serve=found.serve,
    )  # fmt: skip


def serve(
    card: str, *, host: str, port: int, extra_args: Sequence[str], say: Say, out: Say
) -> None:
    """Serve until Ctrl-C or SIGTERM (both end in KeyboardInterrupt), or until vLLM ends by itself."""
    served = to_serve(card)
    if host != PRIVATE:
        say(
            f"NOTE: '{served.name}' will listen on {host}, so that others than this machine can use it; "
            "set VLLM_API_KEY if they should need a key"
        )
    server = start_server(
        served, logs=None, say=say, host=host, port=port, extra_args=extra_args, foreground=True
    )
    try:
        out(server.url)
        say(
            f"\nTo ask it from a run: 'distill cards teachers/endpoint > mine.yaml', set in that file\n"
            f"  model: {served.name}\n  endpoint: {{urls: [{server.url}]}}\n"
            "and name the file as teacher. Ctrl-C stops the server."
        )
        while True:
            server.check()
            time.sleep(LOOK_EVERY_S)
    finally:
        server.stop()
