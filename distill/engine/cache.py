"""A key-value cache with room to grow, for static batches.

transformers' own cache is joined anew for every token: with 256 rows of a tiny model that copying was
half of the time (profiled: aten::cat 51%). Here a token is written into its place, and the room grows
by a quarter when it is full: at most a quarter more memory than the keys and values need.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from transformers import Cache

ROOM = 64  # tokens


def roomy_cache(config: Any) -> "Cache | None":
    """A cache for one ``generate`` call; None for architectures whose layers keep something else
    (sliding windows, linear attention), which take transformers' own."""
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    if kinds != {"full_attention"}:
        return None
    from transformers.cache_utils import Cache, DynamicLayer

    class RoomyLayer(DynamicLayer):
        """Keys and values (B, H, T, D) as views of buffers that are longer than T."""

        def update(
            self,
            key_states: "torch.Tensor",
            value_states: "torch.Tensor",
            *args: Any,
            **kwargs: Any,
        ) -> "tuple[torch.Tensor, torch.Tensor]":
            start = self.get_seq_length()
            end = start + key_states.shape[-2]
            if not self.is_initialized:
                self.lazy_initialization(key_states, value_states)
                self.buffers = tuple(
                    states.new_empty(*states.shape[:-2], 0, states.shape[-1])
                    for states in (key_states, value_states)
                )
            if end > self.buffers[0].shape[-2]:
                self.buffers = tuple(
                    grown(buffer, start, end + end // 4 + ROOM) for buffer in self.buffers
                )
            for buffer, states in zip(self.buffers, (key_states, value_states), strict=True):
                buffer[..., start:end, :] = states
            self.keys, self.values = (buffer[..., :end, :] for buffer in self.buffers)
            return self.keys, self.values

    return Cache(layer_class_to_replicate=RoomyLayer)


def grown(buffer: "torch.Tensor", used: int, room: int) -> "torch.Tensor":
    """A longer buffer (B, H, room, D) with the first ``used`` tokens of the old one."""
    wider = buffer.new_empty(*buffer.shape[:-2], room, buffer.shape[-1])
    wider[..., :used, :] = buffer[..., :used, :]
    return wider
