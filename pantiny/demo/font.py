"""A bitmap font of five by seven dots for the labels on pictures."""

from __future__ import annotations

import numpy as np

# Seven rows of five dots each, one byte a row, the leftmost dot in bit 4.
GLYPHS = {
    "A": "0E11111F111111", "B": "1E11111E11111E", "C": "0E11101010110E",
    "D": "1E11111111111E", "E": "1F10101E10101F", "F": "1F10101E101010",
    "G": "0E11101711110F", "H": "1111111F111111", "I": "0E04040404040E",
    "J": "0702020202120C", "K": "11121418141211", "L": "1010101010101F",
    "M": "111B1515111111", "N": "11191513111111", "O": "0E11111111110E",
    "P": "1E11111E101010", "Q": "0E11111115120D", "R": "1E11111E141211",
    "S": "0F10100E01011E", "T": "1F040404040404", "U": "1111111111110E",
    "V": "11111111110A04", "W": "1111111515150A", "X": "11110A040A1111",
    "Y": "11110A04040404", "Z": "1F01020408101F", "0": "0E11131519110E",
    "1": "040C040404040E", "2": "0E11010204081F", "3": "1F02040201110E",
    "4": "02060A121F0202", "5": "1F101E0101110E", "6": "0608101E11110E",
    "7": "1F010204080808", "8": "0E11110E11110E", "9": "0E11110F01020C",
    ".": "00000000000C0C", ",": "000000000C0408", "-": "0000001F000000",
    "+": "0004041F040400", "/": "00010204081000", ":": "000C0C000C0C00",
    "=": "00001F001F0000", "%": "18190204081303", "(": "02040808080402",
    ")": "08040202020408", "?": "0E110102040004", " ": "00000000000000",
}  # fmt: skip


def draw_text(text: str, scale: int = 1) -> np.ndarray:
    """The text as dots, one line of capitals; unknown signs become ``?``.

    Returns
    -------
    array [7 scale, 6 scale len(text)] bool
    """
    dots = np.zeros((7, 6 * len(text)), bool)
    for k, sign in enumerate(text.upper()):
        rows = np.frombuffer(bytes.fromhex(GLYPHS.get(sign, GLYPHS["?"])), np.uint8)
        dots[:, 6 * k : 6 * k + 5] = np.unpackbits(rows[:, None], axis=1)[:, 3:]
    return dots.repeat(scale, 0).repeat(scale, 1)
