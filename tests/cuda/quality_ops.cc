// The quality indices on a GPU, or the emulator, for arrays of the host.
#include <memory>
#include <vector>

#include "csrc/cuda/planes.h"
#include "csrc/include/pantiny_cuda_indices.h"
#include "tests/cuda/on_device.h"

namespace {

using pantiny::cuda::OnDevice;

// A copy of the arguments with the planes, each a block of `sizes[i]` samples of which the first
// of the plane is number `starts[i]`, and the mask on the device.
template <class Struct>
class Arguments {
 public:
  Arguments(const Struct& from, const ptn_cuda_images& images, const int64_t* sizes,
            const int64_t* starts)
      : w(from) {
    for (int i = 0; i < from.planes; ++i) {
      const auto each = static_cast<size_t>(pantiny::cuda::bytes_of(from.plane[i].dtype)),
                 before = each * static_cast<size_t>(starts[i]);
      const char* all = static_cast<const char*>(from.plane[i].data) - before;
      memory_.push_back(std::make_unique<OnDevice>(all, each * static_cast<size_t>(sizes[i])));
      planes_.push_back(from.plane[i]);
      planes_.back().data = memory_.back()->as<char>() + before;
    }
    w.plane = planes_.data();
    if (!from.valid) return;
    const auto bytes = static_cast<size_t>((images.images - 1) * images.valid_stride +
                                           from.rows * from.valid_row_stride);
    memory_.push_back(std::make_unique<OnDevice>(from.valid, bytes));
    w.valid = memory_.back()->as<uint8_t>();
  }

  Struct w;

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

int quality_windows(const ptn_windows* windows, const ptn_cuda_images* images, const int64_t* sizes,
                    const int64_t* starts, double* sums, int64_t* count) {
  size_t bytes = 0;
  ptn_status status = ptn_cuda_windows_bytes(windows, images, &bytes);
  if (status != PTN_OK) return status;
  const Arguments<ptn_windows> a(*windows, *images, sizes, starts);
  const auto n = static_cast<size_t>(images->images);
  const OnDevice memory(bytes), total(sums, sizeof(double) * n * static_cast<size_t>(a.w.pairs));
  const OnDevice counted(count, n * sizeof *count);
  status = ptn_cuda_windows_run(&a.w, images, memory.get(), bytes, total.as<double>(),
                                counted.as<int64_t>(), nullptr);
  const bool whole = memory.back(nullptr);
  return result(status, total.back(sums) && counted.back(count) && whole);
}

// `blocks` of all images.
int quality_moments(const ptn_windows* windows, const ptn_cuda_images* images, const int64_t* sizes,
                    const int64_t* starts, int64_t blocks, double* moments, int64_t* valid) {
  const Arguments<ptn_windows> a(*windows, *images, sizes, starts);
  const auto n = static_cast<size_t>(blocks);
  const OnDevice out(sizeof(double) * n * static_cast<size_t>(2 * a.w.planes + a.w.pairs));
  const OnDevice counts(sizeof(int64_t) * n);
  const ptn_status status =
      ptn_cuda_moments_run(&a.w, images, out.as<double>(), counts.as<int64_t>(), nullptr);
  return result(status, out.back(moments) && counts.back(valid));
}

// Of `weights` the struct holds the host's.
int quality_shrink(const ptn_cuda_shrink* shrink, const ptn_cuda_images* images,
                   const int64_t* sizes, const int64_t* starts, double* out, const uint8_t* among,
                   uint8_t* reached) {
  Arguments<ptn_cuda_shrink> a(*shrink, *images, sizes, starts);
  const auto planes = static_cast<size_t>(a.w.planes);
  const OnDevice weights(a.w.weights, 2 * planes * static_cast<size_t>(a.w.taps) * sizeof(double));
  a.w.weights = weights.as<double>();
  const auto n = static_cast<size_t>(images->images * a.w.out_rows * a.w.cols);
  const OnDevice made(sizeof(double) * n * planes), seen(n), allowed(among, n);
  ptn_status status = ptn_cuda_shrink_run(&a.w, images, made.as<double>(), nullptr);
  if (status != PTN_OK) return status;
  status = ptn_cuda_reach_run(&a.w, images, among ? allowed.as<uint8_t>() : nullptr,
                              seen.as<uint8_t>(), nullptr);
  return result(status, made.back(out) && seen.back(reached));
}

}  // extern "C"
