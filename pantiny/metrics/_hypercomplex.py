"""Q2n from the moments of blocks: hypercomplex numbers need no more than covariances."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

EPS = float(np.finfo(np.float64).eps)


def product(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Cayley-Dickson product of hypercomplex arrays [2^n, ...]."""
    n = x.shape[0]
    if n == 1:
        return np.asarray(x * y)
    a, b, c, d = x[: n // 2], x[n // 2 :], y[: n // 2], y[n // 2 :]
    return np.concatenate(
        [
            product(a, c) - product(conjugate(d), b),
            product(d, a) + product(b, conjugate(c)),
        ]
    )


def conjugate(x: np.ndarray) -> np.ndarray:
    """The imaginary parts negated."""
    out = -x
    out[0] = x[0]
    return out


@lru_cache(maxsize=4)
def _table(n: int) -> np.ndarray:
    """[n, n, n]: component c of the product of unit a with the conjugate of unit b."""
    units = np.eye(n)
    return np.array([[product(a, conjugate(b)) for b in units] for a in units])


def q2n_pairs(bands: int) -> list[tuple[int, int]]:
    """Planes are the truth's bands, then those of the fused image."""
    return [(a, bands + b) for a in range(bands) for b in range(bands)]


def q2n_of_blocks(
    mean: np.ndarray, variance: np.ndarray, covariance: np.ndarray, bands: int, samples: int
) -> np.ndarray:
    """Q2n per block [blocks, 1], from the moments of blocks of ``samples`` pixels.

    Both images are normalised by the truth's block: ``(x - mean) / std + 1``, the standard
    deviation with N - 1, eps where it is 0. An affine map per band: it is applied to the moments.
    """
    n = 1 << max(0, bands - 1).bit_length()
    unbiased = samples / max(1, samples - 1)
    truth, fused = np.s_[:, :bands], np.s_[:, bands:]
    std = np.sqrt(variance[truth] * unbiased)
    std = np.where(std > 0, std, EPS)
    mean_y = (mean[fused] - mean[truth]) / std + 1
    spread = unbiased * ((variance[truth] + variance[fused]) / std**2).sum(1)
    cross = covariance.reshape(-1, bands, bands) / (std[:, :, None] * std[:, None, :])
    components = unbiased * np.einsum("nab,abc->nc", cross, _table(n)[:bands, :bands])
    modulus = np.sqrt((components**2).sum(1))
    power = float(bands), (mean_y**2).sum(1)
    bias = 2 * np.sqrt(power[0] * power[1]) / (power[0] + power[1])
    with np.errstate(divide="ignore", invalid="ignore"):
        q = np.where(spread > 0, 2 * modulus / spread, 1.0)
    return np.asarray(q * bias)[:, None]
