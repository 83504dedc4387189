"""Proof, before a run spends anything, that documents packed into one row cannot see each other.

    prove_isolation(model)      # returns, or raises a DistillError that names the architecture

The loss of one document is differentiated with respect to the input embeddings of all documents, on
the path that training takes (same layout, kernel, device, dtype): outside the document the gradient
must be exactly zero, inside it must not be. It says nothing about a path that is not this one.
"""

from itertools import pairwise
from typing import TYPE_CHECKING

from distill.errors import DistillError
from distill.train.corpus import Corpus, Counts
from distill.train.loss import hidden_states, summed_cross_entropy
from distill.train.pack import collate

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_LENGTHS = (8, 8, 24)  # two documents of one attention block, and one of another


def prove_isolation(model: "PreTrainedModel") -> None:
    """Refuse to train when one document can reach another in this model, on this device and dtype."""
    import numpy as np
    import torch

    ends = np.concatenate([[0], np.cumsum(_LENGTHS)])
    ids = np.arange(1, ends[-1] + 1, dtype=np.int32) % model.config.vocab_size
    counts = Counts(3, 3, 0, 0, int(ends[-1]), int(ends[-1]) - 3)
    corpus = Corpus(ids, ends, np.ones(3, dtype=np.int32), counts)
    batch = collate(corpus, np.arange(3), device=str(model.device))
    embedded = model.get_input_embeddings()(batch.ids_T).detach().requires_grad_(True)
    for start, end in pairwise(ends):
        # Each its own forward pass: ZeRO-3 lets weights go and gathers them for one backward pass only.
        hidden_TC = hidden_states(model, batch, embedded)
        own = (batch.places_N >= int(start)) & (batch.places_N < int(end))
        loss = summed_cross_entropy(hidden_TC[batch.places_N[own]], batch.labels_N[own], model)
        (gradient_TC,) = torch.autograd.grad(loss, embedded)
        reached = (gradient_TC != 0).any(dim=1)
        inside = torch.zeros_like(reached)
        inside[int(start) : int(end) - 1] = True  # the last token predicts nothing
        if not torch.equal(reached, inside):
            far = reached.nonzero().flatten().tolist()
            raise DistillError(
                f"{type(model).__name__}: documents packed into one row are not kept apart (the loss of "
                f"tokens {start} to {end} of the probe reaches tokens {far}); "
                "this architecture cannot be trained packed here"
            )
