"""The network's variants as plain numbers, shared by torch, numpy and the core."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import OptionError

FUSIONS = ("conv1x1", "gated_conv", "enhanced_conv", "channel_attention", "deep_fusion")
DEEP_FUSION_LAYERS = 5


@dataclass(frozen=True)
class Variant:
    """Sizes of one network.

    Attributes
    ----------
    name : str
    channels : int
        Width C of the features.
    heads : int
        Attention heads; divides ``channels``.
    encoder_blocks, body_blocks : int
        Transformer blocks before and after the fusion with PAN.
    fusion : str
        One of ``FUSIONS``.
    bands : int
        MS bands K the network takes at once.
    """

    name: str
    channels: int = 28
    heads: int = 2
    encoder_blocks: int = 3
    body_blocks: int = 3
    fusion: str = "enhanced_conv"
    bands: int = 4

    @property
    def blocks(self) -> int:
        """Number of blocks, which is the number of global reductions."""
        return self.encoder_blocks + self.body_blocks

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every tensor, in the order of the forward pass."""
        c = self.channels
        out: dict[str, tuple[int, ...]] = {"head.weight": (c, self.bands, 3, 3)}
        for i in range(self.encoder_blocks):
            out.update(_block_shapes(f"encoder.{i}", c, self.heads))
        out.update(_fusion_shapes(self.fusion, c, self.heads))
        for i in range(self.body_blocks):
            out.update(_block_shapes(f"body.{i}", c, self.heads))
        out["refine.weight"] = (c, c, 3, 3)
        out["output.weight"] = (self.bands, c, 3, 3)
        return out

    def parameter_count(self) -> int:
        """Number of parameters."""
        total = 0
        for shape in self.shapes().values():
            size = 1
            for n in shape:
                size *= n
            total += size
        return total


def _attention_shapes(p: str, c: int, heads: int) -> dict[str, tuple[int, ...]]:
    return {
        f"{p}.temperature": (heads, 1, 1),
        f"{p}.qkv.weight": (3 * c, c, 1, 1),
        f"{p}.qkv_dw.weight": (3 * c, 1, 3, 3),
        f"{p}.project.weight": (c, c, 1, 1),
    }


def _norm_shapes(p: str, c: int) -> dict[str, tuple[int, ...]]:
    return {f"{p}.weight": (c,), f"{p}.bias": (c,)}


def _ffn_shapes(p: str, c: int) -> dict[str, tuple[int, ...]]:
    return {
        f"{p}.expand.weight": (4 * c, c, 1, 1),
        f"{p}.dw.weight": (4 * c, 1, 3, 3),
        f"{p}.project.weight": (c, 2 * c, 1, 1),
    }


def _block_shapes(p: str, c: int, heads: int) -> dict[str, tuple[int, ...]]:
    return {
        **_norm_shapes(f"{p}.norm1", c),
        **_attention_shapes(f"{p}.attention", c, heads),
        **_norm_shapes(f"{p}.norm2", c),
        **_ffn_shapes(f"{p}.ffn", c),
    }


def _fusion_shapes(kind: str, c: int, heads: int) -> dict[str, tuple[int, ...]]:
    if kind == "conv1x1":
        return {"fusion.conv.weight": (c, c + 1, 1, 1)}
    if kind == "enhanced_conv":
        return {"fusion.conv1.weight": (c, c + 1, 3, 3), "fusion.conv2.weight": (c, c, 3, 3)}
    if kind == "gated_conv":
        return {
            "fusion.expand.weight": (2 * c, c + 1, 1, 1),
            "fusion.dw.weight": (2 * c, 1, 3, 3),
            "fusion.project.weight": (c, c, 1, 1),
        }
    if kind == "channel_attention":
        return {
            "fusion.embed.weight": (c, 1, 1, 1),
            **_norm_shapes("fusion.norm", c),
            **_attention_shapes("fusion.attention", c, heads),
        }
    out: dict[str, tuple[int, ...]] = {}
    for i in range(DEEP_FUSION_LAYERS):
        p = f"fusion.{i}"
        out.update({f"{p}.embed.weight": (c, 1, 1, 1)})
        out.update(_norm_shapes(f"{p}.norm1", c))
        out.update(
            {
                f"{p}.attention.temperature": (heads, 1, 1),
                f"{p}.attention.q.weight": (c, c, 1, 1),
                f"{p}.attention.q_dw.weight": (c, 1, 3, 3),
                f"{p}.attention.kv.weight": (2 * c, c, 1, 1),
                f"{p}.attention.project.weight": (c, c, 1, 1),
            }
        )
        out.update(_norm_shapes(f"{p}.norm2", c))
        out.update(_ffn_shapes(f"{p}.ffn", c))
    return out


VARIANTS: dict[str, Variant] = {
    v.name: v
    for v in (
        Variant("tiny"),
        Variant("tiny-conv1x1", fusion="conv1x1"),
        Variant("tiny-gated_conv", fusion="gated_conv"),
        Variant("tiny-channel_attention", fusion="channel_attention"),
        Variant("tiny-deep_fusion", fusion="deep_fusion"),
        Variant("large", 40, 4, 4, 4, "gated_conv"),
        Variant("huge", 40, 4, 4, 4, "enhanced_conv"),
    )
}


def get_variant(name: str | Variant) -> Variant:
    """The variant of that name.

    Raises
    ------
    OptionError
        If there is none.
    """
    if isinstance(name, Variant):
        return name
    if name not in VARIANTS:
        raise OptionError(
            f"variant: {name!r} is not known; known: {', '.join(VARIANTS)}; use one of these"
        )
    return VARIANTS[name]
