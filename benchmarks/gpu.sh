#!/usr/bin/env bash
# One command for a machine with an NVIDIA GPU, nvcc and torch: build for that GPU, test on it,
# measure, look for races, profile. What matters most comes first. See docs/cuda.md.
#
#     benchmarks/gpu.sh [OUT [SECONDS]]        default build/gpu (or $OUT), 520
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
out=${1:-${OUT:-build/gpu}}
total=${2:-520}
mkdir -p "$out" build
export PYTHONUNBUFFERED=1 PANTINY_CUDA=ON PANTINY_TEST_GPU=1
# next to the build: a second run compiles nothing again
export TORCHINDUCTOR_CACHE_DIR=$PWD/build/inductor TRITON_CACHE_DIR=$PWD/build/triton
python=${PYTHON:-python3}
failed=0 kernels_ran=0
: >"$out/log.txt"
left() { echo $((total - SECONDS)); }
most() { local n; n=$(left); echo $((n < $1 ? (n > 1 ? n : 1) : $1)); } # seconds, of those left
step() { printf '\n== %s (%ss)\n' "$1" "$SECONDS" | tee -a "$out/log.txt"; }
run() { timeout -k 5 "$1" "${@:2}" 2>&1 | tee -a "$out/log.txt"; return "${PIPESTATUS[0]}"; }
fail() { failed=1; echo "FAILED: $1" | tee -a "$out/log.txt"; }
# of what may run out of time without being wrong
unless_late() { local rc=$?; if [ $rc = 124 ] || [ $rc = 137 ]; then step "$1: not finished in its time"; else fail "$1"; fi; }
# warnings of packages that are newer than ours are no failures here
tests() { run "$1" $python -m pytest -q -x -o filterwarnings=default -p no:cacheprovider "${@:2}"; }
many=$($python -c 'import xdist' 2>/dev/null && echo "-n 5 --dist loadfile")
kernels() {
  kernels_ran=1
  step "every kernel on the shared cases"
  tests "$(most "$1")" $many tests/cuda/test_half_segments.py tests/cuda/test_float_segments.py \
    tests/cuda/test_steps.py tests/cuda/test_quality_kernels.py tests/cuda/test_quality_batches.py ||
    unless_late "kernels"
}

step "build for this GPU; torch.compile fills its cache beside it"
capability=$($python -c 'import torch; print("%d%d" % torch.cuda.get_device_capability())') ||
  { echo "needs torch and a GPU that it sees"; exit 1; }
stop=$(mktemp -u)
timeout -k 5 "$(most 240)" $python benchmarks/gpu/warm.py "$stop" >"$out/warm.txt" 2>&1 &
warm=$!
PANTINY_CMAKE_ARGS="-DPANTINY_CUDA_ARCHITECTURES=$capability-real ${PANTINY_CMAKE_ARGS:-}" \
  run "$(most 240)" $python -m pip install -q --no-build-isolation --no-deps -e .
built=$?
touch "$stop"
[ $built = 0 ] || { fail "build"; kill $warm 2>/dev/null; exit 1; }
# the engine at hand is finished: its kernels are chosen by their time, with the GPU to themselves
for _ in $(seq 60); do kill -0 $warm 2>/dev/null || break; sleep 1; done
kill $warm 2>/dev/null
wait $warm 2>/dev/null
rm -f "$stop"
cat "$out/warm.txt" >>"$out/log.txt"
rm -f "$out/warm.txt"
run 30 $python -c 'from pantiny.info import lines; print(*lines(), sep="\n")' || { fail "import"; exit 1; }

step "fuse() and the indices on this GPU"
tests "$(most 90)" tests/cuda/test_fuse_on_gpu.py tests/cuda/test_metrics_on_gpu.py || {
  fail "fuse"
  kernels 120 # which one
}

step "times"
behind=120 # seconds of what follows
seconds=$(($(left) - behind > 60 ? $(left) - behind : 60))
run $((seconds + 40)) $python -m pantiny.benchmarks.gpu "$out/gpu.json" --seconds $seconds || fail "times"

if command -v compute-sanitizer >/dev/null; then
  for tool in memcheck racecheck; do
    step "compute-sanitizer $tool"
    run "$(most 45)" compute-sanitizer --tool $tool --error-exitcode 9 $python tests/cuda/small_on_gpu.py ||
      unless_late "$tool"
  done
else
  step "compute-sanitizer: not found, skipped"
fi

if command -v ncu >/dev/null; then
  step "ncu on the boundary kernel"
  # clocks are left alone: the machine may be shared
  run "$(most 40)" ncu --clock-control none --set full --kernel-name-base demangled \
    -k 'regex:BlockHalf.*BlockPart\)0' -s 5 -c 1 $python -m pantiny.benchmarks.gpu.once fp16 >"$out/ncu.txt" ||
    echo "ncu: could not measure" | tee -a "$out/log.txt"
  grep -E 'Throughput|Duration|Registers Per|Occupancy|Issue|Executed Ipc|Bank|Local' "$out/ncu.txt"
else
  step "ncu: not found, skipped"
fi

if [ $kernels_ran = 0 ]; then
  if [ "$(left)" -gt 20 ]; then kernels "$(left)"; else step "every kernel: no time left"; fi
fi
step "done, $([ $failed = 0 ] && echo all passed || echo SOME FAILED)"
sed -n '/^## Targets/,/^## [^T]/p' "$out/gpu.md" 2>/dev/null | grep '^|'
exit $failed
