"""Q2n from the moments of blocks: hypercomplex numbers need no more than covariances."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

EPS = float(np.finfo(np.float64).eps)


@lru_cache(maxsize=4)
def signs(n: int) -> np.ndarray:
    """[n, n]: the product of unit a with the conjugate of unit b is this times unit a ^ b.

    Cayley-Dickson, ``(a, b) (c, d) = (a c - conj(d) b, d a + b conj(c))``: a table of twice the
    size is made of four of this one.
    """
    found, conjugate = np.ones((1, 1)), np.ones(1)  # of a with b; of the conjugate of a unit
    while len(found) < n:
        found = np.block([[found, found.T], [found * conjugate, -found.T * conjugate]])
        conjugate = np.where(np.arange(len(found)) == 0, 1.0, -1.0)
    return np.asarray(found * conjugate)


@lru_cache(maxsize=4)
def _components(bands: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (a, b) in the order of their component a ^ b, and where each component starts."""
    unit = np.arange(bands)
    component = (unit[:, None] ^ unit).ravel()
    order = np.argsort(component, kind="stable")
    return order, np.searchsorted(component[order], np.arange(component.max() + 1))


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
    order, starts = _components(bands)
    terms = (cross * signs(n)[:bands, :bands]).reshape(-1, bands * bands)[:, order]
    components = unbiased * np.add.reduceat(terms, starts, axis=1)
    modulus = np.sqrt((components**2).sum(1))
    power = float(bands), (mean_y**2).sum(1)
    bias = 2 * np.sqrt(power[0] * power[1]) / (power[0] + power[1])
    with np.errstate(divide="ignore", invalid="ignore"):
        q = np.where(spread > 0, 2 * modulus / spread, 1.0)
    return np.asarray(q * bias)[:, None]
