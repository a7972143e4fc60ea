// A scene fused whole and in bands, for ctypes: host arrays in, host arrays out.
#include <algorithm>
#include <vector>

#include "csrc/cuda/segments.h"
#include "csrc/include/pantiny_cuda.h"
#include "tests/cuda/on_device.h"

using namespace pantiny::cuda;

namespace pantiny {
namespace cuda {
// one precision is enough here
const Segments& float_segments() { return half_segments(); }
}  // namespace cuda
}  // namespace pantiny

namespace {

struct ScanPair {  // mirrored in scan_ops.py
  int32_t height, width, ms_height, ms_width, consistency;
  double gain;
  const uint16_t *ms, *pan;  // [4][h][w], [H][W]
  const uint8_t* valid;      // [H][W], may be null
};

struct Fused {
  uint16_t* whole;
  uint16_t* bands;
};

constexpr int kBands = 4;

class Run {
 public:
  Run(const ptn_cuda_model* model, const ScanPair& s)
      : model_(model),
        s_(s),
        pixels_(static_cast<size_t>(s.height) * s.width),
        ms_(s.ms, static_cast<size_t>(kBands * s.ms_height * s.ms_width) * 2),
        pan_(s.pan, pixels_ * 2),
        valid_(s.valid, s.valid ? pixels_ : 0),
        dn_(&kDn, sizeof kDn) {
    scene_ = {1, s.height, s.width, s.ms_height, s.ms_width, 0.25, 0, 0.25, 0, s.consistency, {}};
    std::fill_n(scene_.gains, kBands, s.gain);
  }

  ptn_status whole(uint16_t* out) const {
    size_t bytes = 0;
    PTN_TRY(ptn_cuda_plan_bytes(model_, &scene_, &bytes));
    const OnDevice memory(bytes), fused(pixels_ * kBands * 2);
    ptn_cuda_plan* plan = nullptr;
    PTN_TRY(ptn_cuda_plan_create(model_, &scene_, memory.get(), bytes, &plan));
    const ptn_cuda_input in = input();
    const ptn_cuda_output o = output(fused.get(), s_.height);
    const ptn_status status = ptn_cuda_plan_run(plan, &in, &o, nullptr);
    ptn_cuda_plan_destroy(plan);
    return status != PTN_OK || fused.back(out) ? status : PTN_ERR_ARGUMENT;
  }

  // Only the rows that a band asks for are there.
  ptn_status banded(int64_t rows, int keep, uint16_t* out) const {
    const ptn_cuda_bands bands{rows, keep, 0, s_.height};
    size_t bytes = 0;
    PTN_TRY(ptn_cuda_scan_bytes(model_, &scene_, &bands, &bytes));
    const OnDevice memory(bytes);
    ptn_cuda_scan* scan = nullptr;
    PTN_TRY(ptn_cuda_scan_create(model_, &scene_, &bands, memory.get(), bytes, &scan));
    const ptn_status status = passes(scan, rows, out);
    ptn_cuda_scan_destroy(scan);
    return status != PTN_OK || memory.back(nullptr) ? status : PTN_ERR_ARGUMENT;
  }

 private:
  static constexpr double kDn = 2000;

  ptn_status passes(ptn_cuda_scan* scan, int64_t step, uint16_t* out) const {
    const int last = ptn_cuda_passes(model_) - 1;
    for (int pass = 0; pass <= last; ++pass) {
      for (int64_t y0 = 0; y0 < s_.height; y0 += step)
        PTN_TRY(band(scan, pass, y0, std::min<int64_t>(y0 + step, s_.height), pass == last, out));
      if (pass < last) PTN_TRY(ptn_cuda_scan_fold(scan, pass, nullptr));
    }
    return PTN_OK;
  }

  ptn_status band(ptn_cuda_scan* scan, int pass, int64_t y0, int64_t y1, bool last,
                  uint16_t* out) const {
    ptn_rows rows{};
    PTN_TRY(ptn_cuda_scan_rows(scan, pass, y0, y1, &rows));
    const auto count = static_cast<size_t>((rows.pan_last - rows.pan_first) * s_.width);
    const int64_t from = rows.pan_first * s_.width;
    const OnDevice pan(s_.pan + from, count * 2);
    const OnDevice valid(s_.valid ? s_.valid + from : nullptr, s_.valid ? count : 0);
    ptn_cuda_input in = input();
    in.pan.device_data = pan.get();
    if (s_.valid) in.valid.device_data = valid.as<uint8_t>();
    const auto size = static_cast<size_t>((y1 - y0) * s_.width);
    const OnDevice fused(size * kBands * 2);
    const ptn_cuda_output o = output(fused.get(), y1 - y0);
    PTN_TRY(
        ptn_cuda_scan_run(scan, pass, y0, y1, &in, rows.pan_first, last ? &o : nullptr, nullptr));
    if (!last) return PTN_OK;
    std::vector<uint16_t> taken(size * kBands);
    if (!fused.back(taken.data())) return PTN_ERR_ARGUMENT;
    for (int k = 0; k < kBands; ++k)
      std::copy_n(taken.data() + k * size, size, out + k * pixels_ + y0 * s_.width);
    return PTN_OK;
  }

  ptn_cuda_input input() const {
    ptn_cuda_input in{};
    const int64_t ms_plane = static_cast<int64_t>(s_.ms_height) * s_.ms_width;
    in.ms = {ms_.get(), PTN_U16, 0, ms_plane, s_.ms_width, 1};
    in.pan = {pan_.get(), PTN_U16, 0, 0, s_.width, 1};
    for (int k = 0; k < kBands; ++k) in.ms_bands[k] = k;
    if (s_.valid) in.valid = {valid_.as<uint8_t>(), 0, s_.width};
    in.device_dn_per_unit = dn_.as<double>();
    return in;
  }

  ptn_cuda_output output(void* to, int64_t rows) const {
    ptn_cuda_output o{};
    o.device_fused = to;
    o.dtype = PTN_U16;
    o.band_stride = rows * s_.width;
    o.row_stride = s_.width;
    o.col_stride = 1;
    for (int k = 0; k < kBands; ++k) o.bands[k] = k;
    o.high = 65535;
    return o;
  }

  const ptn_cuda_model* model_;
  const ScanPair& s_;
  ptn_cuda_scene scene_;
  size_t pixels_;
  OnDevice ms_, pan_, valid_, dn_;
};

}  // namespace

extern "C" {

const char* scan_error() { return ptn_cuda_error(); }

int scan_run_both(const ptn_arch* arch, const ptn_tensor* tensors, int count, const ScanPair* s,
                  int64_t rows, int keep, const Fused* out) {
  size_t bytes = 0;
  PTN_TRY(ptn_cuda_model_bytes(arch, PTN_CUDA_FP16, &bytes));
  const OnDevice memory(bytes);
  ptn_cuda_model* model = nullptr;
  PTN_TRY(ptn_cuda_model_create(arch, PTN_CUDA_FP16, tensors, count, memory.get(), bytes, &model));
  const Run run(model, *s);
  ptn_status status = out->whole ? run.whole(out->whole) : PTN_OK;
  if (status == PTN_OK && out->bands) status = run.banded(rows, keep, out->bands);
  ptn_cuda_model_destroy(model);
  return status;
}

}  // extern "C"
