// The quality indices on a GPU, or the emulator, for arrays of the host.
#include <memory>
#include <vector>

#include "csrc/include/pantiny_cuda_indices.h"
#include "tests/cuda/on_device.h"

namespace {

using pantiny::cuda::OnDevice;

size_t size_of(int dtype) {
  return dtype == PTN_U8 ? 1 : dtype == PTN_U16 || dtype == PTN_I16 ? 2 : dtype == PTN_F64 ? 8 : 4;
}

// A copy of the arguments with the planes, each a block of `sizes[i]` samples of which the first
// of the plane is number `starts[i]`, and the mask on the device.
class Arguments {
 public:
  Arguments(const ptn_windows& from, const int64_t* sizes, const int64_t* starts) : w(from) {
    for (int i = 0; i < from.planes; ++i) {
      const size_t each = size_of(from.plane[i].dtype),
                   before = each * static_cast<size_t>(starts[i]);
      const char* all = static_cast<const char*>(from.plane[i].data) - before;
      memory_.push_back(std::make_unique<OnDevice>(all, each * static_cast<size_t>(sizes[i])));
      planes_.push_back(from.plane[i]);
      planes_.back().data = memory_.back()->as<char>() + before;
    }
    w.plane = planes_.data();
    if (!from.valid) return;
    const auto bytes = static_cast<size_t>(from.rows * from.valid_row_stride);
    memory_.push_back(std::make_unique<OnDevice>(from.valid, bytes));
    w.valid = memory_.back()->as<uint8_t>();
  }

  ptn_windows w;

 private:
  std::vector<ptn_plane> planes_;
  std::vector<std::unique_ptr<OnDevice>> memory_;
};

constexpr int kGuard = -1;  // something was written around a result

int result(ptn_status status, bool whole) { return status != PTN_OK ? status : whole ? 0 : kGuard; }

}  // namespace

extern "C" {

void quality_run_ahead(int on) {
#ifdef __CUDACC__
  (void)on;
#else
  pantiny::cuda::set_run_ahead(on != 0);
#endif
}

const char* quality_error() { return pantiny::cuda::error_text(); }

int quality_windows(const ptn_windows* windows, const int64_t* sizes, const int64_t* starts,
                    double* sums, int64_t* count) {
  size_t bytes = 0;
  ptn_status status = ptn_cuda_windows_bytes(windows, &bytes);
  if (status != PTN_OK) return status;
  const Arguments a(*windows, sizes, starts);
  const OnDevice memory(bytes), total(sums, sizeof(double) * static_cast<size_t>(a.w.pairs));
  const OnDevice counted(count, sizeof *count);
  status = ptn_cuda_windows_run(&a.w, memory.get(), bytes, total.as<double>(),
                                counted.as<int64_t>(), nullptr);
  const bool whole = memory.back(nullptr);
  return result(status, total.back(sums) && counted.back(count) && whole);
}

int quality_moments(const ptn_windows* windows, const int64_t* sizes, const int64_t* starts,
                    int64_t blocks, double* moments, int64_t* valid) {
  const Arguments a(*windows, sizes, starts);
  const auto n = static_cast<size_t>(blocks);
  const OnDevice out(sizeof(double) * n * static_cast<size_t>(2 * a.w.planes + a.w.pairs));
  const OnDevice counts(sizeof(int64_t) * n);
  const ptn_status status =
      ptn_cuda_moments_run(&a.w, nullptr, 0, out.as<double>(), counts.as<int64_t>(), nullptr);
  return result(status, out.back(moments) && counts.back(valid));
}

}  // extern "C"
