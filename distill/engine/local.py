"""The in-process engine: transformers ``generate`` in static batches. Starts in seconds, no server.

    engine = LocalEngine(Path("teachers/tiny"), batch=256)
    reply = await engine.ask(request)

Waiting requests are sorted by length and answered up to ``batch`` at a time. Sampling noise is a hash
of the request's identity, its seed and the token's position, never a batch-wide generator: which
requests share a batch does not change what is drawn. (The model's own arithmetic still depends on the
batch's shape in the last bits, so a near-tie can, rarely, fall the other way.)

For small models and laptops. A model that needs a GPU is served by vLLM.
"""

import asyncio
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from distill.engine.cache import roomy_cache
from distill.engine.protocol import PromptTooLong, Reply, Request, key_of
from distill.engine.render import Renderer
from distill.errors import Missing, missing_extra
from distill.types import Finish

if TYPE_CHECKING:
    import torch


class Waiting(NamedTuple):
    """A request with its prompt's token ids and where its reply goes."""

    request: Request
    prompt: list[int]
    reply: "asyncio.Future[Reply]"


class LocalEngine:
    """One model in this process. ``batch`` is the most rows one static batch may hold."""

    name = "local"

    def __init__(
        self, model: str, *, batch: int = 256, dtype: str = "auto", revision: str | None = None,
        template_args: Mapping[str, str | bool | int] | None = None,
    ) -> None:  # fmt: skip
        self._model = load_model(model, dtype, revision)
        self._renderer = Renderer(model, revision=revision, template_args=template_args)
        self._tokenizer = self._renderer.tokenizer
        self._batch = batch
        self.in_flight = 4 * batch
        self.context: int = self._model.config.max_position_embeddings
        self._waiting: list[Waiting] = []
        self._runner: asyncio.Task[None] | None = None
        self._stop = threading.Event()

    async def ask(self, request: Request) -> Reply:
        prompt = self._renderer.ids(request.messages, request.prefix)
        room = self.context - len(prompt)
        if room < 1:
            raise PromptTooLong(
                f"prompt of {len(prompt):,} tokens does not fit a context of {self.context:,}"
            )
        waiting = Waiting(request, prompt, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._runner is None or self._runner.done():
            self._runner = asyncio.create_task(self._run())
        both: set[asyncio.Future[Any]] = {waiting.reply, self._runner}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.reply.done():
            self._runner.result()  # raises what ended the runner
            raise asyncio.CancelledError("the engine was closed")
        return waiting.reply.result()

    async def close(self) -> None:
        self._stop.set()
        if self._runner is not None and not self._runner.done():
            await asyncio.gather(self._runner, return_exceptions=True)

    async def _run(self) -> None:
        """Answer batches until nothing waits. Yields once first, so that a burst arrives whole."""
        await asyncio.sleep(0)
        while self._waiting and not self._stop.is_set():
            # Longest prompts first: rows of one batch end at about the same time, and the longest
            # chains are not left for the end.
            self._waiting.sort(key=lambda waiting: -len(waiting.prompt))
            group, self._waiting = self._waiting[: self._batch], self._waiting[self._batch :]
            replies = await asyncio.to_thread(self._generate, group)
            for waiting, reply in zip(group, replies, strict=True):
                if not waiting.reply.done():  # the asker may have been cancelled
                    waiting.reply.set_result(reply)
            await asyncio.sleep(0)

    def _generate(self, group: list[Waiting]) -> list[Reply]:
        """One static batch, left-padded. Every row gets its own sampling settings and limits."""
        import torch
        from transformers import LogitsProcessorList, StoppingCriteriaList

        started = time.monotonic()
        longest = max(len(waiting.prompt) for waiting in group)
        limits = [
            min(waiting.request.sampling.max_tokens, self.context - len(waiting.prompt))
            for waiting in group
        ]
        ids_BT = torch.full((len(group), longest), self._pad(), dtype=torch.long)
        mask_BT = torch.zeros_like(ids_BT)
        for row, waiting in enumerate(group):
            ids_BT[row, longest - len(waiting.prompt) :] = torch.tensor(waiting.prompt)
            mask_BT[row, longest - len(waiting.prompt) :] = 1
        device = self._model.device
        with torch.inference_mode():
            out_BT = self._model.generate(
                input_ids=ids_BT.to(device),
                attention_mask=mask_BT.to(device),
                max_new_tokens=min(max(limits), self.context - longest),
                do_sample=False,
                pad_token_id=self._pad(),
                eos_token_id=sorted(self._ends()),
                logits_processor=LogitsProcessorList([KeyedSampling(group, longest)]),
                stopping_criteria=StoppingCriteriaList([self._stopping]),
                past_key_values=roomy_cache(self._model.config),
            )
        seconds = time.monotonic() - started
        written = out_BT[:, longest:].tolist()
        return [
            self._reply(waiting, tokens[:limit], seconds)
            for waiting, tokens, limit in zip(group, written, limits, strict=True)
        ]

    def _reply(self, waiting: Waiting, tokens: list[int], seconds: float) -> Reply:
        ends = self._ends()
        end = next((index for index, token in enumerate(tokens) if token in ends), None)
        finish: Finish = "length" if end is None else "stop"
        ids = tokens if end is None else tokens[: end + 1]
        text = self._tokenizer.decode(ids, skip_special_tokens=True)
        return Reply(text, ids, finish, len(waiting.prompt), len(ids), seconds)

    def _stopping(self, ids_BT: "torch.Tensor", scores: Any, **kwargs: Any) -> "torch.Tensor":
        import torch

        return torch.full((ids_BT.shape[0],), self._stop.is_set(), device=ids_BT.device)

    def _ends(self) -> set[int]:
        ends = self._model.generation_config.eos_token_id
        if ends is None:
            ends = self._tokenizer.eos_token_id
        return {ends} if isinstance(ends, int) else set(ends)

    def _pad(self) -> int:
        pad = self._tokenizer.pad_token_id
        return min(self._ends()) if pad is None else int(pad)


class KeyedSampling:
    """A logits processor that draws each row's next token itself and leaves only that one possible.

    Temperature, then top-k, then top-p (the order of vLLM and transformers), then inverse-CDF with
    one uniform number per row and position (`uniforms`). Scores are (batch, vocabulary).
    """

    def __init__(self, group: list[Waiting], prompt_length: int) -> None:
        import torch

        settings = [waiting.request.sampling for waiting in group]
        self._keys = np.array([key_of(waiting.request) for waiting in group], dtype=np.uint64)
        self._start = prompt_length
        self._temperature_B1 = torch.tensor([[s.temperature] for s in settings])
        self._top_p_B1 = torch.tensor([[s.top_p] for s in settings])
        vocabulary = 1 << 60
        self._top_k_B1 = torch.tensor([[s.top_k or vocabulary] for s in settings])
        self._cut = any(s.top_p < 1.0 or s.top_k for s in settings)

    def __call__(self, ids_BT: "torch.Tensor", scores_BV: "torch.Tensor") -> "torch.Tensor":
        import torch

        device = scores_BV.device
        greedy_B = self._temperature_B1[:, 0].to(device) == 0
        temperature_B1 = self._temperature_B1.to(device).clamp(min=1e-6)
        probs_BV = torch.softmax(scores_BV.double() / temperature_B1, dim=-1)
        order_BV = None
        if self._cut:
            probs_BV, order_BV = probs_BV.sort(dim=-1, descending=True, stable=True)
            rank_V = torch.arange(probs_BV.shape[-1], device=device)
            probs_BV = probs_BV.masked_fill(rank_V >= self._top_k_B1.to(device), 0.0)
            probs_BV /= probs_BV.sum(dim=-1, keepdim=True)
            before_BV = probs_BV.cumsum(dim=-1) - probs_BV
            probs_BV = probs_BV.masked_fill(before_BV >= self._top_p_B1.to(device), 0.0)
        cdf_BV = probs_BV.cumsum(dim=-1)
        draws = uniforms(self._keys, ids_BT.shape[1] - self._start)
        target_B1 = torch.from_numpy(draws).to(device)[:, None] * cdf_BV[:, -1:]
        picked_B1 = torch.searchsorted(cdf_BV, target_B1, right=True)
        picked_B1 = picked_B1.clamp(max=cdf_BV.shape[-1] - 1)
        if order_BV is not None:
            picked_B1 = order_BV.gather(-1, picked_B1)
        picked_B1 = torch.where(greedy_B[:, None], scores_BV.argmax(-1, keepdim=True), picked_B1)
        return torch.full_like(scores_BV, float("-inf")).scatter_(-1, picked_B1, 0.0)


def uniforms(keys: "np.ndarray[Any, np.dtype[np.uint64]]", position: int) -> "np.ndarray[Any, Any]":
    """One number in [0, 1) per key for a token position: splitmix64 (Steele et al. 2014, fig. 15)."""
    with np.errstate(over="ignore"):
        z = keys + np.uint64(position + 1) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)).astype(np.float64) / float(1 << 53)


def load_model(model: str, dtype: str, revision: str | None = None) -> Any:
    """The model of a local folder or hub id, in eval mode, on the GPU if there is one."""
    try:
        import torch
        from safetensors import SafetensorError
        from transformers import AutoModelForCausalLM
        from transformers.utils import logging
    except ImportError:
        raise missing_extra("the local engine", "all") from None

    logging.disable_progress_bar()  # stderr has our own
    device = "cuda" if torch.cuda.is_available() else "cpu"
    wanted = torch.float32 if dtype == "fp32" or (dtype == "auto" and device == "cpu") else "auto"
    if model.startswith(("/", ".")) and not (Path(model) / "config.json").is_file():
        raise Missing(f"{model}: no model there (no config.json)")
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(model, dtype=wanted, revision=revision)
    except (OSError, ValueError, SafetensorError) as error:
        first = str(error).strip().splitlines()[0]
        raise Missing(f"model '{model}' cannot be loaded: {first}") from None
    return loaded.to(device).eval()
