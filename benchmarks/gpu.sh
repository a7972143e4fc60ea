#!/usr/bin/env bash
# One command for a machine with an NVIDIA GPU, nvcc and torch: build for that GPU, test on it,
# look for races, measure. Ends within 9 minutes. See docs/cuda.md.
#
#     benchmarks/gpu.sh [OUT]        default build/gpu
set -uo pipefail
cd "$(dirname "$0")/.."
out=${1:-build/gpu}
mkdir -p "$out"
export PYTHONUNBUFFERED=1 PANTINY_CUDA=ON PANTINY_TEST_GPU=1
python=${PYTHON:-python3}
step() { printf '\n== %s (%ss)\n' "$1" "$SECONDS" | tee -a "$out/log.txt"; }
run() { timeout "$1" "${@:2}" 2>&1 | tee -a "$out/log.txt"; return "${PIPESTATUS[0]}"; }

step "build for this GPU"
capability=$($python -c 'import torch; print("%d%d" % torch.cuda.get_device_capability())')
PANTINY_CMAKE_ARGS="-DPANTINY_CUDA_ARCHITECTURES=$capability-real ${PANTINY_CMAKE_ARGS:-}" \
  run 180 $python -m pip install -q --no-build-isolation --no-deps -e . || exit 1
run 20 $python -c 'from pantiny.info import lines; print(*lines(), sep="\n")' || exit 1

failed=0
step "fuse() and the indices on this GPU"
run 90 $python -m pytest -q -x tests/cuda/test_fuse_on_gpu.py tests/cuda/test_metrics_on_gpu.py || failed=1
step "times"
run 240 $python -m pantiny.benchmarks.gpu "$out/gpu.json" || failed=1

step "every kernel on the shared cases"
run $((420 - SECONDS > 60 ? 420 - SECONDS : 60)) $python -m pytest -q -x tests/cuda/test_half_segments.py \
  tests/cuda/test_float_segments.py tests/cuda/test_steps.py tests/cuda/test_quality_kernels.py tests/cuda/test_quality_batches.py || failed=1

if command -v compute-sanitizer >/dev/null; then
  for tool in memcheck racecheck; do
    step "compute-sanitizer $tool"
    run 45 compute-sanitizer --tool $tool --error-exitcode 9 $python tests/cuda/small_on_gpu.py \
      || failed=1
  done
else
  echo "compute-sanitizer: not found" | tee -a "$out/log.txt"
fi

if command -v ncu >/dev/null && [ $((535 - SECONDS)) -gt 30 ]; then
  step "ncu on the boundary kernel"
  run $((535 - SECONDS)) ncu --set basic -k 'regex:entry' -c 4 $python tests/cuda/small_on_gpu.py
fi
step "done, $([ $failed = 0 ] && echo all passed || echo SOME FAILED)"
exit $failed
