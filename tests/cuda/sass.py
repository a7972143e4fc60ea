"""Counts the instructions that a thread issues, from a disassembly: ``nvdisasm -c``.

The count is that of the longest path from a kernel's entry to an EXIT, where a loop's body counts
as often as it runs. What lies behind the last EXIT (slow paths out of line) is left out.
"""

from __future__ import annotations

import re
from collections import Counter
from fractions import Fraction
from typing import NamedTuple

CLASSES = {
    "tensor": "HMMA IMMA DMMA HGMMA",
    "half2": "HFMA2 HMUL2 HADD2 HMNMX2 HSET2 HSETP2",
    "fp32": "FFMA FADD FMUL FMNMX FSEL FSETP FSET FCHK FFMA32I FADD32I FMUL32I",
    "convert": "F2F F2FP F2I I2F I2FP FRND",
    "shared": "LDS STS LDSM ATOMS",
    "global": "LDG STG LD ST RED ATOMG ATOM LDGSTS",
    "mufu": "MUFU",
    "shuffle": "SHFL MOVM",
    "local loads": "LDL",
    "local stores": "STL",
}
REST = "integer, control"
_CLASS_OF = {opcode: name for name, opcodes in CLASSES.items() for opcode in opcodes.split()}

_SECTION = re.compile(r"^\.text\.(\S+):$")
_LABEL = re.compile(r"^(\S+):$")
_INSTRUCTION = re.compile(
    r"^\s+/\*([0-9a-f]{4,})\*/\s+\{?\s*(@!?U?P\w+\s+)?([A-Z][A-Z0-9_]*)([\w.]*)\s*(.*?)\s*[;}]"
)
_TARGET = re.compile(r"`\((\.L_[^)]*)\)")


class StructureError(ValueError):
    """The code is not built as the table says: its counts would be wrong."""


class Instruction(NamedTuple):
    predicate: str  # "" where it is always executed
    opcode: str
    modifiers: str
    operands: str
    target: int | None  # index of the instruction that it jumps to

    @property
    def kind(self) -> str:
        if self.opcode == "HFMA2" and "-RZ, RZ" in self.operands:
            return REST  # moves a constant
        if self.opcode == "HADD2" and ".F32" in self.modifiers:
            return "convert"
        return _CLASS_OF.get(self.opcode, REST)


def parse(text: str) -> dict[str, list[Instruction]]:
    """Instructions of every kernel, by its symbol; jumps to a kernel's own labels are resolved."""
    kernels: dict[str, list[tuple[re.Match[str], str | None]]] = {}
    labels: dict[str, dict[str, int]] = {}
    name = ""
    for line in text.splitlines():
        if section := _SECTION.match(line):
            name = section[1]
            kernels[name], labels[name] = [], {}
        elif name and (label := _LABEL.match(line)):
            labels[name][label[1]] = len(kernels[name])
        elif name and (found := _INSTRUCTION.match(line)):
            to = _TARGET.search(found[5])
            kernels[name].append((found, to[1] if to else None))
    return {
        name: [
            Instruction(
                (found[2] or "").strip(),
                found[3],
                found[4],
                found[5],
                labels[name].get(to) if to and found[3] != "BSSY" else None,
            )
            for found, to in rows
        ]
        for name, rows in kernels.items()
    }


def count(
    code: list[Instruction], trips: list[int], shares: list[Fraction] | None = None
) -> Counter[str]:
    """Instructions of a thread by class.

    `trips` are those of the loops in the order of their backward jumps, for one run of what is
    around them. A jump over a barrier is a choice of the whole block between two arms; `shares`
    says how often, of all times, each such jump is not taken.
    """
    ends = [i for i, one in enumerate(code) if one.opcode == "EXIT"]
    if not ends:
        raise StructureError("no EXIT")
    code = code[: ends[-1] + 1]
    jumps = [(i, c.target) for i, c in enumerate(code) if c.target is not None]
    odd = [c.opcode for c in code if c.opcode in ("BRX", "JMP", "JMX", "BRXU")]
    if odd:
        raise StructureError(f"jumps to computed addresses: {odd}")
    loops = [(to, i) for i, to in jumps if to <= i]
    if len(loops) != len(trips):
        raise StructureError(f"{len(loops)} loops, the table has {len(trips)}")
    times = [Fraction(1)] * len(code)
    for (first, last), trip in zip(loops, trips, strict=True):
        for i in range(first, last + 1):
            times[i] *= trip

    def conditional(i: int) -> bool:
        return bool(code[i].predicate) or bool(re.search(r"\bU?P\d", code[i].operands))

    after: list[list[int]] = [[] for _ in code]  # where it may go on, forwards
    for i, one in enumerate(code):
        jump = one.target if one.target is not None and one.opcode in ("BRA", "CALL") else None
        if jump is not None and i < jump < len(code):
            after[i].append(jump)
        stays = jump is None or conditional(i) or bool(one.modifiers.count("DIV"))
        if i + 1 < len(code) and stays and (one.opcode != "EXIT" or one.predicate):
            after[i].append(i + 1)
        # a loop that ends in an unconditional jump is left by another one

    over = [
        (i, to)
        for i, to in jumps
        if i < to < len(code) and any(c.opcode == "BAR" for c in code[i + 1 : to])
    ]
    shares = shares or []
    if len(over) != len(shares):
        raise StructureError(f"{len(over)} jumps over barriers, the table has {len(shares)}")
    for (i, to), share in zip(over, shares, strict=True):
        after[i] = [i + 1]
        last = to - 1
        for k in range(i + 1, to):
            times[k] *= share
        end = code[last].target
        if code[last].opcode == "BRA" and not code[last].predicate and end and end > to:
            after[last] = [to]  # through both arms, each as often as it runs
            for k in range(to, end):
                times[k] *= 1 - share
    return _longest(code, times, after)


def _longest(
    code: list[Instruction], times: list[Fraction], after: list[list[int]]
) -> Counter[str]:
    best: list[Fraction | None] = [None] * len(code)
    before = [-1] * len(code)
    best[0] = times[0]
    for i, so_far in enumerate(best):
        if so_far is None:
            continue
        for k in after[i]:
            length = so_far + times[k]
            if best[k] is None or length > best[k]:  # type: ignore[operator]
                best[k], before[k] = length, i
    at = max(
        (i for i, one in enumerate(code) if one.opcode == "EXIT" and best[i] is not None),
        key=lambda i: best[i],  # type: ignore[arg-type, return-value]
        default=-1,
    )
    if at < 0:
        raise StructureError("no path from the entry to an EXIT")
    counted: dict[str, Fraction] = {}
    while at >= 0:
        kind = code[at].kind
        counted[kind] = counted.get(kind, Fraction(0)) + times[at]
        at = before[at]
    return Counter({kind: round(n) for kind, n in counted.items()})
