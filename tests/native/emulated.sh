#!/bin/sh
# emulated.sh [build directory]
# The reduced native tests on processors that are not here, under qemu-user: a 64-bit x86
# of 2006 and one of 2008 (no AVX: an instruction too new ends the program), one of 2013
# (AVX2, no AVX-512), and a 64-bit ARM. Skips what is not installed:
#     apt-get install qemu-user g++-aarch64-linux-gnu
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
build=${1:-$root/build/emulated}

build_tests() {  # directory, cmake options
  directory=$1
  shift
  cmake -S "$root" -B "$directory" -DPANTINY_PYTHON=OFF -DPANTINY_TESTS=ON "$@" >/dev/null
  cmake --build "$directory" --target pantiny_native_tests pantiny_embed >/dev/null
}

run() {  # title, instruction sets expected, directory, emulator and options
  title=$1 expected=$2 directory=$3
  shift 3
  echo "== $title"
  "$@" "$directory/pantiny_embed" >/dev/null
  status=0
  "$@" "$directory/pantiny_native_tests" --quick >"$directory/emulated.txt" || status=$?
  cat "$directory/emulated.txt"
  if ! grep -qx "instruction sets: $expected" "$directory/emulated.txt"; then
    echo "expected the instruction sets: $expected"
    exit 1
  fi
  [ $status = 0 ] || exit $status
}

if command -v qemu-x86_64 >/dev/null && [ "$(uname -m)" = x86_64 ]; then
  build_tests "$build/x86_64"
  run "x86-64, Core 2 Duo" baseline "$build/x86_64" qemu-x86_64 -cpu core2duo
  run "x86-64, Nehalem" baseline "$build/x86_64" qemu-x86_64 -cpu Nehalem
  run "x86-64, Haswell" "avx2 baseline wide" "$build/x86_64" \
    qemu-x86_64 -cpu Haswell,-hle,-rtm,-pcid,-invpcid,-x2apic,-tsc-deadline
else
  echo "x86-64: skipped, needs qemu-x86_64 on an x86-64 machine"
fi

if command -v qemu-aarch64 >/dev/null && command -v aarch64-linux-gnu-g++ >/dev/null; then
  build_tests "$build/aarch64" -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 \
    -DCMAKE_C_COMPILER=aarch64-linux-gnu-gcc -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++
  run "aarch64" neon "$build/aarch64" qemu-aarch64 -L /usr/aarch64-linux-gnu
else
  echo "aarch64: skipped, needs qemu-aarch64 and aarch64-linux-gnu-g++"
fi
