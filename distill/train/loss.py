"""The loss: cross-entropy summed over learned tokens, divided once per step by their global number.

    module = Learner(model)                     # a torch module: module(batch) is the summed loss
    share = step_share(world=2, accumulation=4, learned=31_007)
    engine.backward(module(batch) * share)

Averaging per micro-batch instead would weight a token by how full its micro-batch happens to be. The
number of learned tokens of a step is known before it starts (the packing is), so no rank has to ask
another. Logits exist only for learned places, a chunk at a time.

Shapes: T tokens, N learned tokens, C hidden size, V vocabulary.
"""

from typing import TYPE_CHECKING

from distill.train.pack import Batch

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

# Logits of one chunk in fp32. Above it chunks are computed again in the backward pass, so that the
# logits of 32k places and 152k words (20 GB, and their gradient again) never exist at once.
CHUNK_BYTES = 1 << 28


def hidden_states(
    model: "PreTrainedModel", batch: Batch, embedded_TC: "torch.Tensor | None" = None
) -> "torch.Tensor":
    """The last hidden states of a batch, as TC. ``embedded_TC`` stands in for the ids (isolation proof)."""
    given = (
        {"input_ids": batch.ids_T[None]}
        if embedded_TC is None
        else {"inputs_embeds": embedded_TC[None]}
    )
    outputs = model.base_model(
        **given, position_ids=batch.positions_T[None], use_cache=False, documents=batch.layout
    )
    hidden: torch.Tensor = outputs.last_hidden_state[0]
    return hidden


def summed_cross_entropy(
    hidden_NC: "torch.Tensor",
    labels_N: "torch.Tensor",
    model: "PreTrainedModel",
    chunk_bytes: int = CHUNK_BYTES,
) -> "torch.Tensor":
    """Cross-entropy summed over N places, in fp32, with at most ``chunk_bytes`` of logits at a time."""
    import torch
    from torch.utils.checkpoint import checkpoint

    # From the config: under ZeRO-3 the weight itself has no rows until it is gathered.
    vocabulary, lm_head = model.config.vocab_size, model.get_output_embeddings()
    rows = max(1, chunk_bytes // (4 * vocabulary))
    if len(labels_N) <= rows:
        return _cross_entropy(hidden_NC, labels_N, lm_head)
    total = hidden_NC.new_zeros((), dtype=torch.float32)
    for hidden, labels in zip(hidden_NC.split(rows), labels_N.split(rows), strict=True):
        total = total + checkpoint(_cross_entropy, hidden, labels, lm_head, use_reentrant=False)
    return total


def _cross_entropy(
    hidden_NC: "torch.Tensor", labels_N: "torch.Tensor", lm_head: "torch.nn.Module"
) -> "torch.Tensor":
    from torch.nn.functional import cross_entropy

    return cross_entropy(lm_head(hidden_NC).float(), labels_N, reduction="sum")


def learner(model: "PreTrainedModel") -> "torch.nn.Module":
    """The model as DeepSpeed trains it: a batch in, its summed loss out."""
    import torch

    class Learner(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, batch: Batch) -> torch.Tensor:
            hidden_TC = hidden_states(self.model, batch)
            hidden_NC = hidden_TC.index_select(0, batch.places_N)
            return summed_cross_entropy(hidden_NC, batch.labels_N, self.model)

    return Learner()


def step_share(*, world: int, accumulation: int, learned: int) -> float:
    """What one micro-batch's summed loss is multiplied by before ``engine.backward``.

    DeepSpeed divides by ``accumulation`` and averages gradients over ``world`` ranks; both are undone
    here, which leaves the sum over the step divided by its number of learned tokens.
    """
    return world * accumulation / max(1, learned)
