"""Faults to seed into the kernels of 16-bit features; each must be found.

(name, file, text, replacement): the first occurrence of the text is replaced.
"""

from __future__ import annotations

_BLOCK = "kernels/boundary/boundary_half_cuda.h"
_DW = "kernels/boundary/depthwise_half_cuda.h"
_SHARED = "kernels/half_cuda.h"
_CONV = "kernels/conv3x3_half_cuda.h"
_HEAD = "kernels/head/head_half_cuda.h"
_TAIL = "kernels/tail/tail_half_cuda.h"
_FUSE = "kernels/fusion/fusion_half_cuda.h"
_PACK = "csrc/cuda/pack_half.h"

_END_OF_HEAD = "      sync_block();  // h is free, the warps' sums are there\n"
_END_OF_CHUNK = "      sync_block();  // before h is written again\n"
_EXPANDED = """      sync_block();
      uint32_t b[2 * W::kTiles];"""
_HEAD_EXPANDED = """      expand_next(a, at, h, head, y);
      sync_block();"""
_VALUE_EXPANDED = """      expand_next(a, at, h, W::kHeads + chunk, y);
      sync_block();"""
_FIRST_DONE = "kFuse1, between);\n    sync_block();"
_LOADED = "Two::template load<false>(a.scene, at, a.x, x);\n    sync_block();"

FAULTS: tuple[tuple[str, str, str, str], ...] = (
    # barriers
    ("expanded, not waited for", _BLOCK, _EXPANDED, _EXPANDED.replace("sync_block();", "")),
    ("gate overtakes", _BLOCK, _END_OF_CHUNK, ""),
    ("q, k not waited for", _BLOCK, _HEAD_EXPANDED, _HEAD_EXPANDED.replace("sync_block();", "")),
    ("heads overtake", _BLOCK, _END_OF_HEAD, ""),
    ("v not waited for", _BLOCK, _VALUE_EXPANDED, _VALUE_EXPANDED.replace("sync_block();", "")),
    ("first 3x3 not waited for", _FUSE, _FIRST_DONE, "kFuse1, between);"),
    ("features not waited for", _TAIL, _LOADED, _LOADED.replace("sync_block();", "")),
    ("ms_up not waited for", _HEAD, "    sync_block();\n", ""),
    # where pixels exist
    (
        "norm outside",
        _DW,
        "there ? rsqrt_approx(squares * kMean + 1e-5f) : 0.0f",
        "rsqrt_approx(squares * kMean + 1e-5f)",
    ),
    ("bias outside", _DW, "first = there ? 1.0f : 0.0f", "first = 1.0f"),
    ("masked q in the sums", _BLOCK, "in ? o[4 * p + j] : 0u", "o[4 * p + j]"),
    ("masked k in the sums", _BLOCK, "in ? o[4 * p + 2 + j] : 0u", "o[4 * p + 2 + j]"),
    ("masked x stored", _BLOCK, "if (!bit(bits, p))", "if (!bit(bits, p) && row < 0)"),
    (
        "masked v stored",
        _BLOCK,
        "in ? Words{v[0], v[1], v[2], v[3]} : Words{0, 0, 0, 0}",
        "Words{v[0], v[1], v[2], v[3]}",
    ),
    (
        "first 3x3 not zeroed",
        _CONV,
        "if (!at.there(s, row, p))",
        "if (!at.there(s, row, p) && row < 0)",
    ),
    ("masked fused stored", _FUSE, "if (!at.there(a.scene, row, p))", "if (false)"),
    ("masked head stored", _HEAD, "if (!at.there(s, row, p))", "if (false)"),
    ("ms_up where nothing is", _HEAD, "if (exists(s, at.image, iy, ix))", "if (inside(s, iy, ix))"),
    (
        "pan where nothing is",
        _CONV,
        "if (WithPan && there &&",
        "if (WithPan && at.in_image(s, row, p) &&",
    ),
    (
        "mask of the row above",
        _SHARED,
        "(y0 + row) * s.valid.row_stride",
        "(y0 + row - (row > 3)) * s.valid.row_stride",
    ),
    ("bits of the wrong row", _BLOCK, "at.group == 0 ? bits >> 2 : bits", "bits"),
    (
        "halo of the tile in the sums",
        _BLOCK,
        "if (!at.owns_column(kHalo, p)) bits &=",
        "if (!at.column[p]) bits &=",
    ),
    # taps, orders, layouts
    (
        "swizzled on one side",
        _CONV,
        "const int at = row * T::kWidth + swizzled(px);",
        "const int at = row * T::kWidth + px;",
    ),
    ("3x3 of a chunk upside down", _DW, "const int o = i - dy;", "const int o = i - 2 + dy;"),
    ("3x3 of a chunk mirrored", _DW, "int column = px - 1 + c;", "int column = px + 2 - c;"),
    ("3x3 upside down", _CONV, "const int o = i - dy;", "const int o = i - 2 + dy;"),
    ("3x3 a column off", _CONV, "at.px + p + dx - 1", "at.px + p + dx"),
    ("head mirrored", _HEAD, "tap % 3 - 1", "1 - tap % 3"),
    ("heads swapped", _PACK, "c * W::kHeadChannels + i;", "(1 - c) * W::kHeadChannels + i;"),
    ("q and k swapped", _PACK, "(j < 2 ? 0 : kC) + c", "(j < 2 ? kC : 0) + c"),
    ("gates swapped", _PACK, "j < 2 ? gate : 2 * kC + gate", "j < 2 ? 2 * kC + gate : gate"),
    ("norm's bias dropped", _PACK, "o >= 0 && i <= kC", "o >= 0 && i < kC"),
    ("pan's weight dropped", _PACK, "t_.fuse1, kC, kC + 1", "t_.fuse1, kC, kC"),
    (
        "gram transposed",
        _BLOCK,
        "column = kind == 0 ? i % c : row",
        "column = kind == 0 ? i / c : row",
    ),
    (
        "a warp left out",
        _BLOCK,
        "for (int w = 0; w < T::kWarps; ++w)",
        "for (int w = 1; w < T::kWarps; ++w)",
    ),
    (
        "norms swapped",
        _BLOCK,
        "(kind - 1) * W::kChannels + head",
        "(2 - kind) * W::kChannels + head",
    ),
    # edges of tiles
    ("last outer row", _SHARED, "? T::kHeight : first_inner()", "? T::kHeight - 1 : first_inner()"),
    ("last row of a group", _SHARED, "(group < kCore % T::kGroups ? 1 : 0)", "0"),
    ("a row dropped", _SHARED, "return kCore / T::kGroups +", "return kCore / T::kGroups - 1 +"),
    ("rows of a warp shifted", _BLOCK, "at.group == 0 ? i - 1 : i", "i - 1"),
    # arithmetic
    (
        "pads in the variance",
        _DW,
        "const bool channel = W::channel(j, t) < W::kChannels;",
        "const bool channel = true;",
    ),
    ("mean of the slots", _DW, "kMean = 1.0f / W::kChannels", "kMean = 1.0f / W::kSlots"),
    ("gelu without its cubic", _DW, "0.0370081799f), 0.7975051f)", "0.0f), 0.7975051f)"),
    ("no relu", _FUSE, "Two::template first<true>", "Two::template first<false>"),
    ("no ms_up", _TAIL, "sums[k][2 * p] + ms_up_at(s, at.image, at.t, iy, ix)", "sums[k][2 * p]"),
    (
        "the first image's matrix",
        _BLOCK,
        "static_cast<int64_t>(at.image) * PackedModel<W>::kMatrix",
        "0",
    ),
    (
        "the first image's partials",
        _BLOCK,
        "(static_cast<int64_t>(at.image) * grid().y + block().y)",
        "(0 * at.image + block().y)",
    ),
)  # fmt: skip


# One width, one shape of tile, one element type, so that a seeded build takes seconds.
ONE_ELEMENT = tuple(
    (
        f"kernels/{op}/{op}_half_cuda.cu",
        f"template ptn_status {name}_half<Bf16>",
        f"template <> ptn_status {name}_half<Bf16>",  # declared, not instantiated
    )
    for op, name in (("head", "head"), ("fusion", "fuse"), ("tail", "tail"))
)
NARROW: tuple[tuple[str, str, str], ...] = (
    ("kernels/half.h", "if (arch.channels == 40 && arch.heads == 4)", "if constexpr (false)"),
    ("kernels/half.h", "Tile<4, 2, 5>", "Tile<4, 3, 5>"),
    ("kernels/half.h", "Tile<2, 2, 5>", "Tile<4, 3, 5>"),
    ("csrc/cuda/segments_half.cu", "Table<Bf16>::", "Table<Half>::"),
    ("tests/cuda/half_ops.cc", "of_tile<Bf16>(bf16_segments(), tile)", "Segments{}"),
    *ONE_ELEMENT,
)
