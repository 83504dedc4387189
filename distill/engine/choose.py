"""Which engine answers: named by the user, else what this machine can do."""

from distill.engine.local import LocalEngine
from distill.engine.protocol import Engine
from distill.errors import DistillError


def open_engine(kind: str, model: str, *, batch: int = 256) -> Engine:
    """Start an engine for a model folder or hub id.

    ``auto`` and ``local`` are the in-process one. Raises `DistillError` for one that is not there.
    """
    if kind in ("auto", "local"):
        return LocalEngine(model, batch=batch)
    raise DistillError(f"engine '{kind}' is not there yet; use 'local'")
