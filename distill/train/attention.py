"""Attention inside documents only, for documents that stand back to back in one line of tokens.

    register()                                   # transformers now knows attn_implementation="documents"
    model(input_ids=ids_1T, position_ids=positions_1T, documents=lay_out(lengths))

On a GPU in half precision this is FlashAttention with boundaries (`torch.nn.attention.varlen`).
Elsewhere documents of like length are gathered into a padded block and take ordinary causal SDPA:
no mask of T x T exists, and no document is in reach of another. Measured on one core, 0.5M
parameters, documents of 70 to 140 tokens: 19.8k tokens/s; block-diagonal masks over rows of 512
16.9k, of 2,048 8.2k; one padded document a row 16.2k.

Whether an architecture really takes this path is proven at the start of each run (`isolation.py`).

Shapes: T tokens, D documents, L longest document of a block, H heads, E head size.
"""

from typing import TYPE_CHECKING, NamedTuple

from distill.errors import DistillError

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

IMPLEMENTATION = "documents"


class Layout(NamedTuple):
    """Where documents lie: ``blocks`` name the token at each place of a padded block, ``back`` the
    place of each token in the blocks laid end to end, ``ends`` the boundaries for FlashAttention."""

    blocks: list["torch.Tensor"]
    back: "torch.Tensor"
    ends: "torch.Tensor"
    longest: int


def lay_out(lengths: "NDArray[np.int64]", *, device: str = "cpu") -> Layout:
    """The layout of documents of these lengths, back to back in this order."""
    import numpy as np
    import torch

    ends = np.concatenate([[0], np.cumsum(lengths)])
    back = np.empty(ends[-1], dtype=np.int64)
    blocks, base = [], 0
    # One block per power of two: padding at most doubles a block, and blocks stay few.
    classes = np.ceil(np.log2(lengths)).astype(int)
    for size in np.unique(classes):
        members = np.flatnonzero(classes == size)
        longest = int(lengths[members].max())
        within = np.arange(longest)[None, :]
        real = within < lengths[members][:, None]
        # A padding place repeats its own document's last token: it comes after all of them, so
        # causal attention never looks at it, and what it computes is not read back.
        block = ends[members][:, None] + np.minimum(within, lengths[members][:, None] - 1)
        back[block[real]] = base + np.flatnonzero(real)
        blocks.append(torch.from_numpy(block).to(device))
        base += block.size
    return Layout(
        blocks,
        torch.from_numpy(back).to(device),
        torch.from_numpy(ends.astype(np.int32)).to(device),
        int(lengths.max()),
    )


def register() -> None:
    """Make the implementation known to transformers; calling it again changes nothing."""
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(IMPLEMENTATION, _attend)
    AttentionMaskInterface.register(IMPLEMENTATION, lambda *args, **kwargs: None)


def _attend(
    module: "torch.nn.Module",
    query: "torch.Tensor",
    key: "torch.Tensor",
    value: "torch.Tensor",
    attention_mask: object,
    *,
    documents: Layout | None = None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **_: object,
) -> "tuple[torch.Tensor, None]":
    """What transformers calls per layer: query is 1HTE; returns 1THE."""
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    if documents is None:
        raise DistillError("packed attention was called without document boundaries")
    if sliding_window is not None and sliding_window < documents.longest:
        raise DistillError(
            f"this student attends in windows of {sliding_window} tokens and its documents reach "
            f"{documents.longest}; lower train.length to {sliding_window}"
        )
    shared = query.shape[1] != key.shape[1]
    q, k, v = (x[0].transpose(0, 1).contiguous() for x in (query, key, value))  # THE
    if query.is_cuda and query.dtype in (torch.bfloat16, torch.float16):
        from torch.nn.attention.varlen import varlen_attn

        ends, longest = documents.ends, documents.longest
        out = varlen_attn(
            q,
            k,
            v,
            ends,
            ends,
            longest,
            longest,
            scale=scaling,
            window_size=(-1, 0),
            enable_gqa=shared,
        )
        assert isinstance(out, torch.Tensor)
        return out.unsqueeze(0), None
    parts = []
    for block in documents.blocks:
        out = scaled_dot_product_attention(
            _gather(q, block),
            _gather(k, block),
            _gather(v, block),
            is_causal=True,
            scale=scaling,
            enable_gqa=shared,
        )
        parts.append(out.transpose(1, 2).reshape(block.numel(), -1))
    joined = (parts[0] if len(parts) == 1 else torch.cat(parts)).index_select(0, documents.back)
    return joined.view(1, query.shape[2], query.shape[1], query.shape[3]), None


def _gather(line: "torch.Tensor", block: "torch.Tensor") -> "torch.Tensor":
    """THE to DHLE: the tokens of one block's documents, padded."""
    tokens, heads, size = line.shape
    picked = line.view(tokens, heads * size).index_select(0, block.reshape(-1))
    return picked.view(*block.shape, heads, size).transpose(1, 2)
