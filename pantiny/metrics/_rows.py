"""Rows in pieces of any height, out in chunks of a fixed grid: the same sums for any pieces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ._inputs import KERNEL_DTYPES

BLOCK_ROWS = 128  # rows of a chunk; of windows: rows of windows


def join(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Rows below each other; float64 where no dtype of the kernels holds both."""
    if above.dtype != below.dtype and np.result_type(above, below) not in KERNEL_DTYPES:
        above, below = above.astype(np.float64), below.astype(np.float64)
    return np.concatenate((above, below), axis=-2)


class RowFeed:
    """Collects rows of several arrays and hands them on in chunks.

    Parameters
    ----------
    step : int
        Rows from one chunk to the next.
    overlap : int
        Rows that a chunk shares with the next.

    Notes
    -----
    Chunk i holds rows ``[i * step, i * step + step + overlap)``, or up to the last row; it is
    handed on as soon as it is whole, the rest by ``finish``. Nothing is copied where a piece
    holds a whole chunk.
    """

    def __init__(self, step: int, overlap: int) -> None:
        self._step, self._overlap = step, overlap
        self._held: list[np.ndarray | None] = []
        self.rows = 0  # all that came

    def update(self, pieces: Sequence[np.ndarray | None]) -> Iterator[list[np.ndarray | None]]:
        """``pieces`` [..., n, W] follow those of the last call; None stays None."""
        pieces = list(pieces)
        new = next(p.shape[-2] for p in pieces if p is not None)
        self.rows += new
        if self._held:
            pieces = [
                None if h is None or p is None else join(h, p) for h, p in zip(self._held, pieces)
            ]
        have = next(p.shape[-2] for p in pieces if p is not None)
        at = 0
        while have - at >= self._step + self._overlap:
            yield _cut(pieces, at, at + self._step + self._overlap)
            at += self._step
        self._held = [None if p is None else p[..., at:, :].copy() for p in pieces]

    def finish(self, least: int) -> Iterator[list[np.ndarray | None]]:
        """The rows that are left, if there are more than ``least``."""
        left = next((p.shape[-2] for p in self._held if p is not None), 0)
        if left > least:
            yield self._held
        self._held = []


def _cut(pieces: Sequence[np.ndarray | None], first: int, last: int) -> list[np.ndarray | None]:
    return [None if p is None else p[..., first:last, :] for p in pieces]


class Queue:
    """Rows that wait for those of other sources."""

    def __init__(self) -> None:
        self._rows: np.ndarray | None = None

    def put(self, rows: np.ndarray) -> None:
        """Behind the others."""
        held = self._rows
        self._rows = rows if held is None else join(held, rows)

    def __len__(self) -> int:
        return 0 if self._rows is None else int(self._rows.shape[-2])

    def take(self, count: int) -> np.ndarray:
        """The first ``count``."""
        assert self._rows is not None
        taken = self._rows[..., :count, :]
        self._rows = self._rows[..., count:, :].copy()
        return taken
