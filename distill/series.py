"""A series: one model asked in one way. Its 12 hex digits are the first part of every identity.

    asker = Asker(model="tiny", revision="1f0c…", template="9a41…", instruction={}, sampling=Sampling())
    asker.series        # "3f9d02c4a1be": model, revision, template, instruction, sampling, policy step

``max_tokens`` is left out: raising it continues or redoes only what ended by ``length``.
"""

import hashlib
from pathlib import Path

import msgspec

from distill.cards import Marks
from distill.types import Kind, Record, Sampling


class Asker(Record, frozen=True, kw_only=True):
    """Everything that decides what a model would write, and how to read it (``marks``)."""

    model: str
    revision: str | None = None
    template: str = ""
    instruction: dict[Kind, str] = {}
    sampling: Sampling = Sampling()
    marks: Marks = Marks()
    step: int = 0

    def spelled(self) -> dict[str, object]:
        """The parts that make the series, as they stand in ``series.json``."""
        return {
            "model": self.model,
            "revision": self.revision,
            "template": self.template,
            "instruction": dict(sorted(self.instruction.items())),
            "temperature": self.sampling.temperature,
            "top_p": self.sampling.top_p,
            "top_k": self.sampling.top_k,
            "step": self.step,
        }

    @property
    def series(self) -> str:
        return hashlib.sha256(msgspec.json.encode(self.spelled(), order="sorted")).hexdigest()[:12]


def weights_revision(model: str) -> str | None:
    """16 hex of sha256 over a local model's safetensors files, in name order; None for a hub id.

    A retrained student is another model although its folder has the same name.
    """
    files = sorted(Path(model).glob("*.safetensors")) if Path(model).is_dir() else []
    if not files:
        return None
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()[:16]
