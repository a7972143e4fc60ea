"""The gates of compiled kernels, on made up logs and disassemblies: no nvcc needed."""

from __future__ import annotations

import copy
from fractions import Fraction
from pathlib import Path

import pytest

from . import gates, instructions, sass

_NAME = "_ZN7pantiny4cuda5entryINS0_11ConsistencyENS0_5WidthILi28ELi2EEEEEvNT_4ArgsE"
_KERNEL = "_ZN7pantiny4cuda5entryINS0_8FuseHalfINS0_5WidthILi28ELi2EEEEEEEvNT_4ArgsE"


def ptxas(registers: dict[str, int], stores: int = 0, loads: int = 0) -> str:
    """What ptxas -v tells of a kernel, among other lines of a build."""
    lines = ["[3/9] Building CUDA object fusion_half_cuda.cu.o"]
    for architecture, used in registers.items():
        lines += [
            f"ptxas info    : Compiling entry function '{_KERNEL}' for '{architecture}'",
            f"ptxas info    : Function properties for {_KERNEL}",
            f"    16 bytes stack frame, {stores} bytes spill stores, {loads} bytes spill loads",
            f"ptxas info    : Used {used} registers, used 1 barriers, 664 bytes cmem[0]",
        ]
    return "\n".join(["ptxas info    : 0 bytes gmem", *lines])


def everywhere(registers: int) -> dict[str, int]:
    return dict.fromkeys(gates.ARCHITECTURES, registers)


def test_a_log_of_ptxas_is_read() -> None:
    usage = gates.parse(ptxas(everywhere(168), stores=12, loads=20))
    (of_kernel,) = usage.values()
    assert next(iter(usage)).startswith("FuseHalf<Width<28, 2>")
    assert of_kernel == {a: [168, 32] for a in gates.ARCHITECTURES}
    assert gates.parse("g++ -O3 capi.cc") == {}


def test_registers_and_spills_over_their_budget_are_told() -> None:
    budget = gates.parse(ptxas(everywhere(100), stores=8))
    more = {**everywhere(100), "sm_90": 100 + gates.MORE_REGISTERS}
    assert gates.compare(gates.parse(ptxas(more, stores=8)), budget) == []
    more["sm_90"] += 1
    (told,) = gates.compare(gates.parse(ptxas(more, stores=8)), budget)
    assert "on sm_90: 109 registers" in told and "budget 100 and 8" in told
    spilled = gates.parse(ptxas(everywhere(100), stores=8, loads=gates.MORE_SPILLS + 1))
    assert len(gates.compare(spilled, budget)) == len(gates.ARCHITECTURES)


def test_kernels_that_are_missing_or_new_are_told() -> None:
    usage = gates.parse(ptxas(everywhere(100)))
    (name,) = usage
    (told,) = gates.compare(usage, {})
    assert told == f"{name}: has no budget; record it"
    (told,) = gates.compare({}, usage)
    assert told == f"{name}: in the budget, not in the build"
    some = everywhere(100)
    del some["sm_120"]
    (told,) = gates.compare(gates.parse(ptxas(some)), usage)
    assert told == f"{name}: not compiled for sm_120"


# Two loops, the inner one skipped by a jump; an if and its else; a slow path behind the EXIT.
_LOOPS = [
    "MOV R1, c[0x0][0x28]",
    "HFMA2.MMA R4, -RZ, RZ, 0, 0",
    ".L_x_0:",
    "LDS.128 R4, [R2+0x10]",
    "@P0 BRA `(.L_x_2)",
    ".L_x_1:",
    "HMMA.16816.F32 R8, R4, R12, R8",
    "HFMA2.MMA R9, R4.reuse, R5, R9",
    "@!P1 BRA `(.L_x_1)",
    ".L_x_2:",
    "HADD2.F32 R3, -RZ, R4.H0_H0",
    "@!PT LDS RZ, [RZ]",
    "@P2 BRA `(.L_x_0)",
    "BRA.DIV ~URZ, `(.L_x_5)",
    "SHFL.BFLY PT, R3, R3, 0x1, 0x1f",
    "@P3 BRA `(.L_x_3)",
    "FFMA R3, R3, R4, R5",
    "MUFU.RSQ R3, R3",
    "STL [R1], R3",
    "BRA `(.L_x_4)",
    ".L_x_3:",
    "LDL R3, [R1]",
    ".L_x_4:",
    "@P4 EXIT",
    "STG.E.128 desc[UR4][R2.64], R4",
    "EXIT",
    ".L_x_5:",
    "SHFL.BFLY PT, R3, R3, 0x1, 0x1f",
    "BRA `(.L_x_3)",
    ".L_x_6:",
    "BRA `(.L_x_6)",
]
# A loop whose iterations take either arm, the whole block the same.
_ARMS = [
    ".L_x_0:",
    "@P0 BRA `(.L_x_1)",
    "BAR.SYNC.DEFER_BLOCKING 0x0",
    "FADD R1, R2, R3",
    "BRA `(.L_x_2)",
    ".L_x_1:",
    "STG.E desc[UR4][R2.64], R4",
    ".L_x_2:",
    "@P1 CALL.REL.NOINC `(.L_x_3)",
    "BRA `(.L_x_0)",
    ".L_x_3:",
    "EXIT",
]


def disassembly(lines: list[str], name: str = _KERNEL) -> str:
    """As nvdisasm -c prints it."""
    text = ["\t.target\tsm_90", f'\t.section\t.text.{name},"ax",@progbits', f".text.{name}:"]
    at = 0
    for line in lines:
        if line.endswith(":"):
            text.append(line)
            continue
        predicate, _, rest = line.partition(" ") if line.startswith("@") else ("", "", line)
        text.append(f"        /*{at:04x}*/ {predicate:>19s} {rest} ;")
        at += 16
    return "\n".join(text)


def code(lines: list[str]) -> list[sass.Instruction]:
    return sass.parse(disassembly(lines))[_KERNEL]


def test_loops_are_weighed_and_the_longest_path_is_counted() -> None:
    counted = sass.count(code(_LOOPS), [5, 3])
    assert counted == {
        "tensor": 15,
        "half2": 15,
        "convert": 3,
        "shared": 6,
        "shuffle": 1,
        "fp32": 1,
        "mufu": 1,
        "local stores": 1,
        "global": 1,
        # 2 moves, 3 and 15 and 3 jumps of loops, DIV, if, its end, 2 EXIT
        sass.REST: 2 + 21 + 5,
    }
    assert sass.count(code(_LOOPS), [0, 3])["tensor"] == 0


def test_arms_run_as_often_as_the_table_says() -> None:
    counted = sass.count(code(_ARMS), [3], [Fraction(2, 3)])
    assert counted == {"fp32": 2, "global": 1, sass.REST: 3 + 2 + 2 + 3 + 1}


@pytest.mark.parametrize(
    ("lines", "trips", "shares", "text"),
    [
        (_LOOPS, [5], [], "2 loops, the table has 1"),
        (_LOOPS, [5, 3, 1], [], "2 loops, the table has 3"),
        (_ARMS, [3], [], "1 jumps over barriers, the table has 0"),
        (_LOOPS, [5, 3], [Fraction(1)], "0 jumps over barriers, the table has 1"),
        (["BRX R2 -0x10", "EXIT"], [], [], "computed addresses"),
        (["NOP"], [], [], "no EXIT"),
    ],
)
def test_code_of_another_structure_is_refused(
    lines: list[str], trips: list[int], shares: list[Fraction], text: str
) -> None:
    with pytest.raises(sass.StructureError, match=text):
        sass.count(code(lines), trips, shares)


def kernel(products: int) -> instructions.Kernel:
    return instructions.Kernel("f.cu", "FuseHalf<Width<28, 2>>", 64, 128, [5, 3], products, [])


def test_instructions_a_pixel() -> None:
    text = disassembly(_ARMS, _NAME) + "\n" + disassembly(_LOOPS)
    found = instructions.of_kernel(kernel(15), text)
    assert found["tensor"] == 7.5 and found["all"] == (15 + 15 + 3 + 6 + 5 + 28) / 2
    assert found["local loads"] == 0 and found["all"] == sum(found.values()) / 2
    with pytest.raises(sass.StructureError, match="15 products of a warp, must be 14"):
        instructions.of_kernel(kernel(14), text)
    with pytest.raises(sass.StructureError, match="is not in"):
        instructions.of_kernel(kernel(15), disassembly(_LOOPS, _NAME))


def test_instructions_over_their_budget_missing_or_new_are_told() -> None:
    one = instructions.of_kernel(kernel(15), disassembly(_LOOPS))
    budget = {"sm_90": {"fuse": one}}
    assert instructions.compare(budget, budget) == []
    more = copy.deepcopy(budget)
    more["sm_90"]["fuse"]["all"] = one["all"] * 1.051
    more["sm_90"]["fuse"]["half2"] += 9
    (told,) = instructions.compare(more, budget)
    assert told == "fuse on sm_90: over its budget by more than 5 %: half2 7.5 -> 16.5, " + (
        f"all {one['all']} -> {one['all'] * 1.051}"
    )
    spilled = copy.deepcopy(budget)
    spilled["sm_90"]["fuse"]["local loads"] = 0.1
    (told,) = instructions.compare(spilled, budget)
    assert "0.1 loads from local memory a pixel, budget 0" in told
    assert instructions.compare(budget, {}) == ["fuse on sm_90: has no budget; record it"]
    assert instructions.compare({}, budget) == ["fuse on sm_90: in the budget, not counted"]


def test_every_budget_is_of_a_kernel() -> None:
    budgets = instructions.json.loads(instructions.BUDGETS.read_text())
    assert set(budgets) == set(instructions.ARCHITECTURES)
    for of_kernels in budgets.values():
        assert set(of_kernels) == set(instructions.KERNELS)
    for one in instructions.KERNELS.values():
        assert Path(instructions.ROOT, one.source).is_file()
