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

_TILE = "kernels/feature_tile_cuda.h"
_MS = "kernels/ms_tile_cuda.h"

_END_OF_HEAD = "      sync_block();  // h is free, the warps' sums are there\n"
_END_OF_CHUNK = "    sync_block();  // before h is written again\n"
_EXPANDED = """    sync_block();
    uint32_t b[W::kTiles * Words / 2];"""
_HEAD_EXPANDED = """      expand_next(a, at, h, head, y);
      sync_block();"""
_VALUE_EXPANDED = """      expand_next(a, at, h, W::kHeads + chunk, y);
      sync_block();"""
_FIRST_DONE = "    }\n    sync_block();\n    const Place<T> at"
_LOADED = "wait_copies();\n      sync_block();"
_COPIED = "wait_copies();\n    sync_warp();"
_MIXED = "ms.mix(s);\n    sync_block();"
_HEAD_READY = "kHead);\n    sync_block();"
_MS_READY = "sums);\n    sync_block();"


def _dropped(text: str, barrier: str = "sync_block();") -> str:
    return text.replace(barrier, "")


FAULTS: tuple[tuple[str, str, str, str], ...] = (
    # barriers
    ("expanded, not waited for", _BLOCK, _EXPANDED, _dropped(_EXPANDED)),
    ("gate overtakes", _BLOCK, _END_OF_CHUNK, ""),
    ("q, k not waited for", _BLOCK, _HEAD_EXPANDED, _dropped(_HEAD_EXPANDED)),
    ("heads overtake", _BLOCK, _END_OF_HEAD, ""),
    ("v not waited for", _BLOCK, _VALUE_EXPANDED, _dropped(_VALUE_EXPANDED)),
    ("copies of x and v not waited for", _BLOCK, _COPIED, _dropped(_COPIED, "wait_copies();")),
    ("v of other lanes not waited for", _BLOCK, _COPIED, _dropped(_COPIED, "sync_warp();")),
    ("first 3x3 not waited for", _FUSE, _FIRST_DONE, _dropped(_FIRST_DONE)),
    ("MS overtakes the first 3x3", _TAIL, _FIRST_DONE, _dropped(_FIRST_DONE)),
    ("features not waited for", _TAIL, _LOADED, _dropped(_LOADED)),
    ("copies not waited for", _TAIL, _LOADED, _dropped(_LOADED, "wait_copies();")),
    ("copies not waited for before pan", _CONV, "    wait_copies();\n", ""),
    ("mixed MS not waited for", _HEAD, _MIXED, _dropped(_MIXED)),
    ("ms_up not waited for", _HEAD, _HEAD_READY, _dropped(_HEAD_READY)),
    ("MS of the tail not waited for", _TAIL, _MS_READY, _dropped(_MS_READY)),
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
    ("masked x stored", _BLOCK, "owned >> 2 * k, bits >> 2 * k", "owned >> 2 * k, 3u"),
    (
        "masked v stored",
        _BLOCK,
        "in ? Words{v[0], v[1], v[2], v[3]} : Words{0, 0, 0, 0}",
        "Words{v[0], v[1], v[2], v[3]}",
    ),
    ("first 3x3 not zeroed", _CONV, "if (!bit(bits, 2 * k + p))", "if (false)"),
    ("masked fused stored", _FUSE, "there >> 2 * k", "there | 3u"),
    ("masked head stored", _HEAD, "there >> 2 * k", "there | 3u"),
    ("ms_up where nothing is", _HEAD, "if (exists(s, at.image, iy, ix))", "if (inside(s, iy, ix))"),
    (
        "pan where nothing is",
        _CONV,
        "if (bit(bits, 2 * i + p)) dn",
        "if (bits + 1 && inside(s, at.y0 + at.first_row() + i, at.x0 + at.px + p)) dn",
    ),
    (
        "mask of the row above",
        _SHARED,
        "mask[(y + i) * s.valid.row_stride]",
        "mask[(y + i - (y + i > 3)) * s.valid.row_stride]",
    ),
    ("mask of every other row", _SHARED, "(rows >> 14 & 12u)", "(rows << 2 & 12u)"),
    ("bits of the wrong row", _BLOCK, "inner = at.group == 0 ? all >> 2 : all", "inner = all"),
    (
        "bits of the outer row",
        _BLOCK,
        "outer = at.group == 0 ? all : all >> 2 * T::kRows",
        "outer = all",
    ),
    (
        "halo of the tile in the sums",
        _BLOCK,
        "there<T::kRows>(a.scene, first) & at.owned(kHalo)",
        "there<T::kRows>(a.scene, first)",
    ),
    ("a hole in the MS unseen", _MS, "if (!*there) sum = NAN;", ""),
    # taps, orders, layouts
    (
        "copied to another part",
        _TILE,
        "copy_async<16>(part(row, px, t)",
        "copy_async<16>(part(row, px, t ^ 1)",
    ),
    (
        "stored to another pixel",
        _TILE,
        "store_words(part(row, px, t)",
        "store_words(part(row, px ^ 1, t)",
    ),
    ("half of K twice", _TILE, "2 * s + (lane() >> 4)", "2 * s"),
    ("3x3 of a chunk upside down", _DW, "const int o = i - dy;", "const int o = i - 2 + dy;"),
    ("3x3 of a chunk mirrored", _DW, "const int dx = c - p;", "const int dx = 2 - c + p;"),
    ("3x3 of a chunk, column before", _DW, "c == 0 ? -kChunkMargin", "c == 0 ? 0"),
    ("3x3 upside down", _CONV, "const int o = i - dy;", "const int o = i - 2 + dy;"),
    ("3x3 a column off", _CONV, "2 * at.g + dx - 1", "2 * at.g + dx"),
    ("head mirrored", _HEAD, "tap % 3 - 1", "1 - tap % 3"),
    ("heads swapped", _PACK, "c * W::kHeadChannels + i;", "(1 - c) * W::kHeadChannels + i;"),
    ("q and k swapped", _PACK, "(j < 2 ? 0 : kC) + c", "(j < 2 ? kC : 0) + c"),
    ("gates swapped", _PACK, "j < 2 ? gate : 2 * kC + gate", "j < 2 ? 2 * kC + gate : gate"),
    ("gates of the half chunk swapped", _PACK, "(j < 1 ? 0 : 2 * kC)", "(j < 1 ? 2 * kC : 0)"),
    ("gates of the half chunk shifted", _PACK, "first + 2 * (lane & 3)", "first + (lane & 3)"),
    ("half chunk left out", _BLOCK, "if constexpr (W::kHalfChunk) gates", "if (!chunk) gates"),
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
    ("columns of the MS mirrored", _MS, "at[k], sum)", "at[3 - k], sum)"),
    ("rows of the MS above the first", _MS, "if (first + k >= 0 && first", "if (first"),
    ("rows of the MS below the last", _MS, "&& first + k + 1 < s.ms_height) at", ") at"),
    # edges of tiles
    ("outer row of the last", _SHARED, "? 0 : T::kHeight - 1;", "? 0 : T::kHeight - 2;"),
    ("no outer row", _SHARED, "|| group == 0 || group == T::kGroups - 1;", "|| group == 0;"),
    ("last row of a group", _SHARED, "kCoreEach + (group < kMore ? 1 : 0)", "kCoreEach"),
    ("a row dropped", _SHARED, "i < kCoreEach || i < rows", "i < kCoreEach - 1 || i < rows - 1"),
    # arithmetic
    ("pads in the variance", _DW, "t < kFirstPad ? mean : 0.0f", "t <= kFirstPad ? mean : 0.0f"),
    ("mean of the slots", _DW, "kMean = 1.0f / W::kChannels", "kMean = 1.0f / W::kSlots"),
    ("gelu without its cubic", _DW, "half_fma(half_mul(a, a), d, c)", "half_fma(d, d, c)"),
    ("gelu twice", _PACK, "0.5f * b.contract", "b.contract"),
    ("no relu", _FUSE, "between, E::pack_relu", "between, E::pack_finite"),
    ("no ms_up", _TAIL, "sums[k][2 * p] + ms_up", "sums[k][2 * p] + 0 * ms_up"),
    ("another's bilinear", _TAIL, ": own[(2 * k + p)", ": own[2 * k"),
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
    # wild samples
    ("infinite ms_up", _HEAD, "E::pack_finite(value(0)", "E::pack(value(0)"),
    ("infinite features", _HEAD, "c, W::kTiles, E::pack_finite", "c, W::kTiles, E::pack"),
    ("infinite pan", _CONV, "E::pack_finite(dn", "E::pack(dn"),
    (
        "infinite first 3x3",
        _SHARED,
        "return pack_relu_half(a, b);",
        "return pack_half(a < 0 ? 0 : a, b < 0 ? 0 : b);",
    ),
    (
        "infinite second 3x3",
        _FUSE,
        "sums[k], W::kTiles, E::pack_finite",
        "sums[k], W::kTiles, E::pack",
    ),
    ("infinite refined", _TAIL, "refined, E::pack_finite", "refined, E::pack"),
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
