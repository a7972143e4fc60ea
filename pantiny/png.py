"""A PNG encoder: 8-bit RGB, or indices into a palette."""

from __future__ import annotations

import struct
import zlib

import numpy as np

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def encode_png(pixels: np.ndarray, palette: np.ndarray | None = None, clear: int = -1) -> bytes:
    """The bytes of a PNG file.

    Parameters
    ----------
    pixels : array [H, W, 3] uint8, or [H, W] uint8 with a palette
    palette : array [n, 3] uint8, optional
        Up to 256 colours.
    clear : int
        Number of the palette's transparent colour; -1: none.
    """
    height, width = pixels.shape[:2]
    depth = 3 if palette is None else 1
    rows = pixels.reshape(height, depth * width)
    # filter Sub helps photographs, and harms palettes
    lines = np.full((height, 1 + depth * width), 0 if palette is not None else 1, np.uint8)
    lines[:, 1 : 1 + depth] = rows[:, :depth]
    lines[:, 1 + depth :] = rows[:, depth:]
    if palette is None:
        lines[:, 1 + depth :] -= rows[:, :-depth]  # modulo 256, as PNG asks
    colour = 2 if palette is None else 3
    parts = [_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0))]
    if palette is not None:
        parts.append(_chunk(b"PLTE", np.ascontiguousarray(palette, np.uint8).tobytes()))
        if clear >= 0:
            parts.append(_chunk(b"tRNS", bytes([255] * clear + [0])))
    parts.append(_chunk(b"IDAT", zlib.compress(lines.tobytes())))
    return _SIGNATURE + b"".join([*parts, _chunk(b"IEND", b"")])
