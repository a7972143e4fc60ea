"""Faults to seed into the float kernels; each must be found.

What is checked, what is wrong: (file, text, replacement) of the text's first occurrence.
"""

from __future__ import annotations

_BLOCK = "kernels/boundary/boundary_cuda.cu"
_LAYERS = "kernels/layers_cuda.h"
_CONV = "kernels/conv3x3_cuda.h"
_FUSE = "kernels/fusion/fusion_cuda.cu"
_TAIL = "kernels/tail/tail_cuda.cu"
_PACK = "csrc/cuda/segments_float.cu"
_FOLD = "kernels/fold/fold_cuda.cu"
_SCENE = "csrc/cuda/scene.h"
_STEP = "kernels/consistency/consistency_cuda.cu"
_SCALE = "kernels/scale/scale_cuda.cu"
_MASKS = "kernels/masks/masks_cuda.cu"

_BARRIER = "sync_block();"
_MATRIX = "image) * C * C, C * C);\n      sync_block();"
_CHUNK_FREE = "sync_block();  // the last chunk's weights and planes have been read"
_CHUNK_WEIGHTS = "L::kChunk, L::kChunk);\n        sync_block();"
_CHUNK_EXPANDED = "2 * L::kGates, tile);\n        sync_block();"
_GROUP_FREE = "++group) {\n        sync_block();"
_GROUP_EXPANDED = "2 * W::kHead, tile);\n        sync_block();"
_QK_READ = "continue;\n        }\n        sync_block();"
_QK_THERE = "thread()] = r[j];\n        sync_block();"
_SHARES = "= sum[i];\n    }\n    sync_block();"


def _without_barrier(file: str, text: str) -> tuple[str, str, str]:
    at = text.index(_BARRIER)
    return file, text, text[:at] + text[at + len(_BARRIER) :]


FAULTS: dict[str, tuple[str, str, str]] = {
    # barriers
    "block: matrix not waited for": _without_barrier(_BLOCK, _MATRIX),
    "block: a chunk overtakes": _without_barrier(_BLOCK, _CHUNK_FREE),
    "block: weights not waited for": _without_barrier(_BLOCK, _CHUNK_WEIGHTS),
    "block: expanded, not waited for": _without_barrier(_BLOCK, _CHUNK_EXPANDED),
    "block: a group overtakes": _without_barrier(_BLOCK, _GROUP_FREE),
    "block: q, k, v not waited for": _without_barrier(_BLOCK, _GROUP_EXPANDED),
    "block: q, k written while read": _without_barrier(_BLOCK, _QK_READ),
    "block: sums not waited for": _without_barrier(_BLOCK, _QK_THERE),
    "block: shares not waited for": _without_barrier(_BLOCK, _SHARES),
    "conv: channels overtake": (_CONV, "if (first) sync_block();", ""),
    "conv: pixels not waited for": (_CONV, "      sync_block();\n      PTN_NO", "      PTN_NO"),
    # where pixels exist
    "block: bias outside": (_BLOCK, "there ? a : 0.0f", "a"),
    "block: masked q, k in the sums": (_BLOCK, "mine && there ? depthwise", "mine ? depthwise"),
    "block: halo in the sums": (_BLOCK, "r[j] = mine && there ?", "r[j] = near && there ?"),
    "block: the tile's rim": (
        _BLOCK,
        "near = row >= 1 && row < kFloatRows - 1",
        "near = row >= 2 && row < kFloatRows - 1",
    ),
    "conv: masked stored": (_CONV, "to[i * plane] = there ? v : 0.0f", "to[i * plane] = v"),
    "conv: masked read": (
        _CONV,
        "if (!exists(s, image, y, x)) return",
        "if (!inside(s, y, x)) return",
    ),
    "conv: the last row": (
        _CONV,
        "if (!inside(s, y, x)) return;",
        "if (!inside(s, y + 1, x)) return;",
    ),
    # taps, orders, layouts
    "block: 3x3 upside down": (_LAYERS, "w[dy * 3 + dx]", "w[(2 - dy) * 3 + dx]"),
    "conv: 3x3 upside down": (_CONV, "at[t / 3 * kPitch", "at[(2 - t / 3) * kPitch"),
    "conv: 3x3 mirrored": (_CONV, "+ t % 3]", "+ 2 - t % 3]"),
    "conv: the last channels": (
        _CONV,
        "kIn - first < kAtOnce ? kIn - first",
        "kIn - first < kAtOnce ? 0",
    ),
    "conv: pan for a feature": (
        _CONV,
        "if (channel == kFeatures)",
        "if (channel == kFeatures - 1)",
    ),
    "conv: no relu": (_FUSE, "ConvFinish::kRelu", "ConvFinish::kPlain"),
    "conv: no ms_up": (_TAIL, "ConvFinish::kAddMsUp", "ConvFinish::kPlain"),
    "block: heads swapped": (
        _PACK,
        "j < W::kHead     ? group * W::kHead + j",
        "j < W::kHead     ? (1 - group) * W::kHead + j",
    ),
    "block: q and k swapped": (
        _PACK,
        ": C + group * W::kHead + j",
        ": 0 * C + group * W::kHead + j",
    ),
    "block: gates swapped": (_PACK, "= 2 * C + order[g];", "= 2 * C + order[L::kGates - 1 - g];"),
    "block: matrix not transposed": (_PACK, "i % c * c + i / c", "i"),
    "block: quarters swapped": (
        _BLOCK,
        "(q >> 1) * kHalf, col = (q & 1)",
        "(q & 1) * kHalf, col = (q >> 1)",
    ),
    "block: norms of the other rows": (
        _BLOCK,
        "rows == cols ? q : k[a]",
        "rows == cols ? k[a] : q",
    ),
    "block: a quarter of the pixels": (
        _BLOCK,
        "for (int p = 0; p < 4; ++p)",
        "for (int p = 0; p < 3; ++p)",
    ),
    "block: |k|^2 of the other half": (
        _BLOCK,
        "kGram + C + head * W::kHead + col",
        "kGram + C + head * W::kHead + row",
    ),
    "block: the first image's matrix": (
        _BLOCK,
        "static_cast<int64_t>(image) * C * C, C * C",
        "0, C * C",
    ),
    "block: the first image's partials": (
        _BLOCK,
        "(static_cast<int64_t>(image) * grid().y",
        "(0 * static_cast<int64_t>(image) * grid().y",
    ),
    # arithmetic
    "block: norm without its floor": (_LAYERS, "1.0f / C, 1e-5f", "1.0f / C, 1e-6f"),
    # scenes
    "conv: cubic where samples lack": (
        _SCENE,
        "all = all && exists_at(",
        "all = all || exists_at(",
    ),
    "conv: weights not made up for": (_SCENE, "? sum / weight : 0.0f", "? sum : 0.0f"),
    # fold
    "fold: no barrier, norms": (
        _FOLD,
        "sums[i] = sum;\n    }\n    sync_block();",
        "sums[i] = sum;\n    }",
    ),
    "fold: no barrier, softmax": (
        _FOLD,
        "row[j] /= total;\n    }\n    sync_block();",
        "row[j] /= total;\n    }",
    ),
    "fold: the rows behind the eighth": (_FOLD, "; t < f.rows; ++t)", "; t < 0; ++t)"),
    "fold: the last tile of a row": (_FOLD, "t < a.across; ++t", "t < a.across - 1; ++t"),
    "fold: the first row twice": (_FOLD, "a.first + block().x;", "a.first + block().x / 2;"),
    "fold: tiles of the first image": (_FOLD, "block().z * a.down", "0 * a.down"),
    "fold: sums in float": (
        _FOLD,
        "double sum = 0;\n    for (int64_t t = 0; t < a.across",
        "float sum = 0;\n    for (int64_t t = 0; t < a.across",
    ),
    "fold: norm without its root": (_FOLD, "sum = sqrt(sum);", ""),
    "fold: no floor": (_FOLD, "sum == sum ? kNormFloor : sum", "sum"),
    "fold: the other head's k": (
        _FOLD,
        "gram + C + head * c",
        "gram + C + (f.heads - 1 - head) * c",
    ),
    "fold: logits not shifted": (_FOLD, "exp(row[j] - largest)", "exp(row[j])"),
    "fold: one temperature": (_FOLD, "f.temperature[head]", "1.5f"),
    "fold: softmax transposed": (_FOLD, "(head * c + q) * c + k", "(head * c + k) * c + q"),
    "fold: the first image's sums": (_FOLD, "block().x * f.rows * size", "0 * f.rows * size"),
    # back-projection
    "consistency: no barrier": (
        _STEP,
        "    sync_block();\n    const int j = j0",
        "    const int j = j0",
    ),
    "consistency: coverage of a half": (_STEP, "0.5f - 1e-4f", "0.5f + 1e-4f"),
    "consistency: coverage of a quarter": (_STEP, "0.5f - 1e-4f", "0.25f"),
    "consistency: zeros beyond the edge": (
        _STEP,
        "if (!exists(s, image, y, x)) continue;",
        "if (!exists(s, image, y, x) || top + k < 0) continue;",
    ),
    "consistency: masked samples": (_STEP, "if (!exists(s, image, y, x)) continue;", ""),
    "consistency: mean of what there is": (
        _STEP,
        "there ? sum / weight : 0.0f",
        "there ? sum : 0.0f",
    ),
    "consistency: MS that is not there": (
        _STEP,
        "bool there = ms_exists(s, image, i, j)",
        "bool there = true",
    ),
    "consistency: the first band's gain": (
        _STEP,
        "static_cast<int64_t>(band) * s.ms_width",
        "0 * s.ms_width",
    ),
    "consistency: a tap short": (
        _STEP,
        "for (int k = 0; k < t.taps; ++k) {\n      sum",
        "for (int k = 1; k < t.taps; ++k) {\n      sum",
    ),
    "consistency: too few columns": (_STEP, "- left) + t.taps;", "- left) + t.taps - 2;"),
    "consistency: DN for network values": (
        _STEP,
        "ms_at(s, image, band, i, j) * s.units_per_dn[image]",
        "ms_at(s, image, band, i, j)",
    ),
    "consistency: far from the MS": (
        _STEP,
        "t.first + 3 < 0 || t.first >= size",
        "t.first + 3 < 0 && t.first >= size",
    ),
    "consistency: a step not kept": (_STEP, "if (!a.finish) *at = v;", ""),
    "consistency: residuals that are not": (
        _STEP,
        "s.valid.data || s.ms_valid.data;",
        "s.valid.data && !s.ms_valid.data;",
    ),
    # DN
    "rounding: truncated": (_STEP, "v = rint(v);", "v = trunc(v);"),
    "rounding: halves up": (_STEP, "v = rint(v);", "v = floor(v + 0.5);"),
    "rounding: NaN": (_STEP, "if (v != v) v = o.low;", "if (v != v) v = o.high;"),
    "rounding: not saturated": (_STEP, "dn > o.high ? o.high : dn", "dn"),
    "rounding: fill not reserved": (_STEP, "if (o.reserve_fill && v == o.fill)", "if (false)"),
    "rounding: above high": (_STEP, "v + 1 <= o.high ? v + 1 :", "true ? v + 1 :"),
    "rounding: float fill": (_STEP, "!o.reserve_fill || f !=", "true || f !="),
    "rounding: floats down": (_STEP, "f < high ? high :", "f > high ? high :"),
    "rounding: fill left out": (_STEP, "if (!valid) return o.fill;", "if (!valid) return o.low;"),
    "rounding: a band that is not asked for": (_STEP, "if (o.bands[band] < 0) return;", ""),
    "rounding: the first image's scale": (
        _STEP,
        "a.output.dn_per_unit[image]",
        "a.output.dn_per_unit[0]",
    ),
    # scale
    "scale: no barrier": (_SCALE, "    sync_block();\n", ""),
    "scale: rank off by one": (
        _SCALE,
        "static_cast<uint64_t>(rank);",
        "static_cast<uint64_t>(rank) + 1;",
    ),
    "scale: rank down": (_SCALE, "ceil(kQuantile", "floor(kQuantile"),
    "scale: ties": (_SCALE, "counts[bin] < left", "counts[bin] <= left"),
    "scale: keys of negative floats": (_SCALE, "bits >> 31 ? ~bits :", "bits >> 31 ? bits :"),
    "scale: values of negative floats": (_SCALE, "value > 0 ?", "value != 0 ?"),
    "scale: int16 without its offset": (
        _SCALE,
        "(key >> 16) - (dtype == PTN_I16 ? 32768 : 0)",
        "(key >> 16)",
    ),
    "scale: masked samples": (_SCALE, "|| !ms_exists(s, image, block().y, j)", ""),
    "scale: the other bins": (_SCALE, "key >> 16 == to.state.bin", "true"),
    "scale: the first columns": (_SCALE, "(block().x * kEach + n)", "(n)"),
    "scale: the rank of a bin": (_SCALE, "s.state.rank = left;", ""),
    # masks
    "masks: no barrier": (_MASKS, "    sync_block();\n", ""),
    "masks: NaN is not nodata": (_MASKS, "m.nodata != m.nodata ? v != v :", ""),
    "masks: nodata in the first band alone": (_MASKS, "k < s.bands; ++k", "k < 1; ++k"),
    "masks: infinity is finite": (_MASKS, "return v - v == 0;", "return v == v;"),
    "masks: the mask of the caller": (
        _MASKS,
        "bool there = ms_exists(s, image, i, j);",
        "bool there = true;",
    ),
    "masks: PAN's nodata": (_MASKS, "&& !is_nodata(m, v) &&", "&&"),
    "masks: a pixel's MS sample": (_MASKS, "x / m.ratio];", "(x + 1) / m.ratio];"),
    "masks: NaN under the mask": (_MASKS, "if (there && odd)", "if (odd)"),
    "masks: a thread's count": (
        _MASKS,
        "for (int i = 1; i < kThreads",
        "for (int i = 2; i < kThreads",
    ),
}


# One width, so that a seeded build takes seconds.
NARROW: tuple[tuple[str, str, str], ...] = (
    (_PACK, "a.channels == 28 ? run(Width28()) : run(Width40())", "(void)a, run(Width28())"),
    (_BLOCK, "PTN_INSTANTIATE(Width40)\n", ""),
    (
        "kernels/head/head_cuda.cu",
        "template ptn_status float_head<Width40>",
        "template <> ptn_status float_head<Width40>",
    ),
    (
        _FUSE,
        "template ptn_status float_fuse<Width40>",
        "template <> ptn_status float_fuse<Width40>",
    ),
    (
        _TAIL,
        "template ptn_status float_tail<Width40>",
        "template <> ptn_status float_tail<Width40>",
    ),
)
