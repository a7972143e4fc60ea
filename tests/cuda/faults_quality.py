"""Faults that the tests of the CUDA quality indices must find: file, text, what replaces it."""

from __future__ import annotations

WINDOWS = "kernels/windows/windows_cuda.cu"
GAUSSIAN = "kernels/gaussian/gaussian_cuda.cu"
BLOCKS = "kernels/blocks/blocks_cuda.cu"
SHRINK = "kernels/shrink/shrink_cuda.cu"
TILE_SUMS = "csrc/cuda/tile_sums.cu"
TILE_SUMS_H = "csrc/cuda/tile_sums.h"
PLANES = "csrc/cuda/planes.h"
BARRIER = "    sync_block();\n"


def _without(before: str, file: str, indent: int = 4) -> tuple[str, str, str]:
    """The barrier behind ``before`` is dropped."""
    return file, before + " " * (indent - 4) + BARRIER, before


FAULTS: dict[str, tuple[str, str, str]] = {
    "windows: no barrier, columns of a plane": _without(
        "t.stage[(kRun + i) * pitch + x] = out[i].square;\n      }\n    }\n", WINDOWS
    ),
    "windows: no barrier, sums of a plane": _without("sums[i] = out[i];\n    }\n", WINDOWS),
    "windows: no barrier, columns of a pair": _without(
        "t.stage[(which * kRun + k) * pitch + x] = out[k];\n    }\n", WINDOWS
    ),
    "windows: no barrier, between pairs": _without(
        "evaluate(t, first + which, out);\n    }\n", WINDOWS
    ),
    "windows: no barrier, the mask": _without("t.kept[thread()] = count;\n    }\n", WINDOWS),
    "windows: a sample short": (WINDOWS, "i < window; ++i) run", "i + 1 < window; ++i) run"),
    "windows: a sample late": (WINDOWS, "term(window + i - 1)", "term(window + i)"),
    "windows: the last column dropped": (
        WINDOWS,
        "t.first + i + window <= t.cols",
        "t.first + i + window < t.cols",
    ),
    "windows: a row of samples short": (WINDOWS, "kRun + a.window - 1", "kRun + a.window - 2"),
    "windows: the mask ignored": (
        WINDOWS,
        "if (!valid_at(p, t.y0 + y, t.x0 + x)) return 1;",
        "if (!valid_at(p, t.y0 + y, t.x0 + x)) return 0;",
    ),
    "windows: anchor not added back": (WINDOWS, "* one_nth + anchor;", "* one_nth;"),
    "windows: no anchor": (
        WINDOWS,
        "if (!kAnchored || t.ay < 0) return 0;",
        "return 0;",
    ),
    "windows: a plane with itself": (
        WINDOWS,
        "j = t.a.p.pair[pair][1], n =",
        "j = t.a.p.pair[pair][0], n =",
    ),
    "windows: the first pair twice": (
        WINDOWS,
        "j = t.a.p.pair[first + which][1];",
        "j = t.a.p.pair[first][1];",
    ),
    "windows: flat windows": (WINDOWS, "v != 0 ? c + c : Real{1}", "c + c"),
    "windows: rounding taken for variance": (
        WINDOWS,
        "share = flat_share(window) * n",
        "share = 0.0 * n",
    ),
    "windows: rounding taken for a mean": (
        WINDOWS,
        "kAnchored && mean <= black && mean >= -black",
        "false",
    ),
    "windows: both flat": (WINDOWS, "vi + vj != 0 ? Real{1} : Real{0}", "Real{1}"),
    "windows: which windows count": (WINDOWS, "keep >> k & 1u", "keep & 1u"),
    "windows: half of the runs": (WINDOWS, "i < kRuns; i += kWarp)\n", "i < kWarp; i += kWarp)\n"),
    "planes: products of 32 bits": (PLANES, "static_cast<int64_t>(a) * b", "a * b"),
    "windows: the anchor need not be valid": (WINDOWS, "float found = kNone;", "float found = 0;"),
    "gaussian: no barrier, samples": _without("t.stage + kRows * kPitch);\n", GAUSSIAN),
    "gaussian: no barrier, lines": _without("+ first + j] = m[q][j];\n      }\n    }\n", GAUSSIAN),
    "gaussian: no barrier, the mask": _without("t.invalid[y] = bits;\n    }\n", GAUSSIAN),
    "gaussian: no barrier, sums of warps": _without(
        "if (lane() == 0) t.warps[warp()] = v;\n", GAUSSIAN
    ),
    "gaussian: no barrier, sums read": (
        GAUSSIAN,
        "sync_block();  // what was there has been read",
        "",
    ),
    "gaussian: a tap short": (GAUSSIAN, "k - j >= kGaussian)", "k - j >= kGaussian - 1)"),
    "gaussian: the mask shifted": (
        GAUSSIAN,
        "t.invalid[y + k] >> x",
        "t.invalid[y + k] >> (x + 1)",
    ),
    "gaussian: the last column dropped": (
        GAUSSIAN,
        "x + kGaussian > t.cols",
        "x + kGaussian >= t.cols",
    ),
    "gaussian: the other plane's mean added back": (
        GAUSSIAN,
        "m[0][j] + mean_x, m[1][j] + mean_y",
        "m[0][j] + mean_y, m[1][j] + mean_x",
    ),
    "gaussian: a plane with itself": (GAUSSIAN, "a.p.pair[pair][1])", "a.p.pair[pair][0])"),
    "gaussian: c2 forgotten": (GAUSSIAN, "(2 * covariance + a.c2)", "(2 * covariance)"),
    "blocks: no barrier, samples": _without("Value{0};\n", BLOCKS, 6),
    "blocks: no barrier, portions": (BLOCKS, "if (first) sync_block();", ""),
    "blocks: no barrier, totals": _without("if (lane() == 0) least[warp()] = valid;\n", BLOCKS),
    "blocks: mirrored about the last sample": (
        BLOCKS,
        "2 * size - 1 - x",
        "2 * size - 2 - x",
    ),
    "blocks: mirrored samples do not count": (
        BLOCKS,
        "const bool in = i < n",
        "const bool in = i < n && x0 + i % window < p.width",
    ),
    "blocks: no anchor": (BLOCKS, "if (!Arithmetic::kAnchored || !any) return 0;", "return 0;"),
    "blocks: the mask ignored": (BLOCKS, "i < n && valid_at(p, y, x)", "i < n"),
    "blocks: a mean of the wrong plane": (BLOCKS, "* p.planes][0]", "* p.planes][1]"),
    "blocks: not mirrored at the bottom": (
        BLOCKS,
        "mirrored(y0 + i / window, p.rows)",
        "clamp_to(y0 + i / window, p.rows)",
    ),
    "blocks: every image over the first": (
        BLOCKS,
        "static_cast<int64_t>(block().z) * grid().x + block().x",
        "block().x",
    ),
    "planes: every image the first": (PLANES, "block().z * p.image_bytes[number]", "0"),
    "planes: images a byte per sample apart": (
        PLANES,
        "* bytes_of(p->plane[i].dtype)",
        "* 1",
    ),
    "planes: every mask the first": (PLANES, "block().z * p.valid_image_stride + ", ""),
    "tile sums: every image over the first": (
        TILE_SUMS_H,
        "(static_cast<int64_t>(block().z) * pairs + pair)",
        "pair",
    ),
    "tile sums: counts over the first": (TILE_SUMS_H, "counts + block().z * tiles", "counts"),
    "tile sums: added up for the first": (TILE_SUMS, "a.sums + image * pairs + p", "a.sums + p"),
    "tile sums: counted for the first": (TILE_SUMS, "a.count + image", "a.count"),
    "shrink: no barrier": _without("sums[c] = sum;\n    }\n", SHRINK),
    "shrink: a tap short, down": (SHRINK, "t < s.taps; ++t) {", "t + 1 < s.taps; ++t) {"),
    "shrink: a tap short, along": (
        SHRINK,
        "t < s.taps; ++t) sum",
        "t + 1 < s.taps; ++t) sum",
    ),
    "shrink: weights down taken along": (SHRINK, "weights[s.taps + t]", "weights[t]"),
    "shrink: the first plane's weights": (
        SHRINK,
        "s.weights + static_cast<int64_t>(number) * 2 * s.taps",
        "s.weights",
    ),
    "shrink: the first plane twice": (
        SHRINK,
        "plane_of(s.planes, number)",
        "plane_of(s.planes, 0)",
    ),
    "shrink: the edge not repeated": (
        SHRINK,
        "clamp_to(s.first_col + x0 * s.step + c, s.planes.width)",
        "clamp_to(s.first_col + x0 * s.step + c, s.planes.width - 1)",
    ),
    "shrink: tiles of one place": (SHRINK, "s.first_col + x0 * s.step", "s.first_col"),
    "shrink: the mask ignored": (SHRINK, "else if (valid)", "else"),
    "shrink: what is valid reached": (SHRINK, "valid ? 0.0 : weights[t]", "valid ? weights[t] : 0"),
    "shrink: the other mask ignored": (SHRINK, "(!a.among || a.among[at])", "true"),
    "shrink: columns of samples dropped": (
        SHRINK,
        "(kCols - 1) * a.s.step + a.s.taps",
        "(kCols - 1) * a.s.step + a.s.taps - 1",
    ),
    "shrink: every image over the first": (
        SHRINK,
        "static_cast<int64_t>(block().z) * s.planes.planes + number",
        "number",
    ),
    "tile sums: no barrier": _without("if (lane() == 0) warps[warp()] = sum;\n", TILE_SUMS, 6),
    "tile sums: no barrier between rows": (
        TILE_SUMS,
        "sync_block();  // what the rows above left has been read",
        "",
    ),
    "tile sums: the last tile dropped": (TILE_SUMS, "i < last", "i < last - 1"),
    "tile sums: written, not added": (TILE_SUMS, "Sum total = *to;", "Sum total = 0;"),
}
