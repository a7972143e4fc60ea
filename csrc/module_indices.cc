// pybind11 binding of the quality indices: converts and calls.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "csrc/include/pantiny.h"
#include "csrc/module.h"

namespace py = pybind11;

namespace {

using Mask = std::optional<py::array_t<uint8_t, py::array::c_style>>;
using Pairs = std::vector<std::pair<int32_t, int32_t>>;

void check(ptn_status status) {
  if (status != PTN_OK) throw std::runtime_error(ptn_status_text(status));
}

int32_t dtype_of(const py::array& a) {
  if (py::isinstance<py::array_t<uint8_t>>(a)) return PTN_U8;
  if (py::isinstance<py::array_t<uint16_t>>(a)) return PTN_U16;
  if (py::isinstance<py::array_t<int16_t>>(a)) return PTN_I16;
  if (py::isinstance<py::array_t<float>>(a)) return PTN_F32;
  if (py::isinstance<py::array_t<double>>(a)) return PTN_F64;
  throw py::type_error("dtype must be uint8, uint16, int16, float32 or float64");
}

// The planes of a call; the arrays must outlive it.
class Windows {
 public:
  Windows(const std::vector<py::array>& planes, const Pairs& pairs, const Mask& valid, int window,
          int threads) {
    for (const py::array& a : planes) {
      if (a.ndim() != 2 || a.shape(0) != planes[0].shape(0) || a.shape(1) != planes[0].shape(1))
        throw py::value_error("planes must be of one shape [rows, width]");
      if (a.strides(0) % a.itemsize() || a.strides(1) % a.itemsize() ||
          reinterpret_cast<uintptr_t>(a.data()) % static_cast<size_t>(a.itemsize()))
        throw py::value_error("planes must be aligned, their strides whole samples");
      planes_.push_back(
          {a.data(), dtype_of(a), a.strides(0) / a.itemsize(), a.strides(1) / a.itemsize()});
    }
    for (const auto& [i, j] : pairs) pairs_.insert(pairs_.end(), {i, j});
    w.rows = planes.empty() ? 0 : planes[0].shape(0);
    w.width = planes.empty() ? 0 : planes[0].shape(1);
    w.plane = planes_.data();
    w.pair = pairs_.data();
    w.planes = static_cast<int32_t>(planes_.size());
    w.pairs = static_cast<int32_t>(pairs.size());
    w.window = window;
    w.threads = threads;
    if (!valid) return;
    if (valid->ndim() != 2 || valid->shape(0) != w.rows || valid->shape(1) != w.width)
      throw py::value_error("valid must have the shape of the planes");
    w.valid = valid->data();
    w.valid_row_stride = valid->shape(1);
  }

  ptn_windows w{};

 private:
  std::vector<ptn_plane> planes_;
  std::vector<int32_t> pairs_;
};

struct Free {
  void operator()(void* p) const { std::free(p); }
};

std::unique_ptr<void, Free> allocate(size_t bytes) {
  std::unique_ptr<void, Free> memory(std::aligned_alloc(64, (bytes + 64) / 64 * 64));
  if (!memory) throw std::bad_alloc();
  return memory;
}

// sums [pairs] float64 and count [1] int64 are added to
void windows_run(const std::vector<py::array>& planes, const Pairs& pairs, const Mask& valid,
                 int index, int window, int threads, double c1, double c2,
                 py::array_t<double, py::array::c_style> sums,
                 py::array_t<int64_t, py::array::c_style> count) {
  Windows made(planes, pairs, valid, window, threads);
  made.w.index = index;
  made.w.c1 = c1;
  made.w.c2 = c2;
  if (sums.size() != made.w.pairs || count.size() != 1)
    throw py::value_error("sums must be [pairs] and count [1]");
  size_t bytes = 0;
  check(ptn_windows_bytes(&made.w, &bytes));
  const auto memory = allocate(bytes);
  double* to = sums.mutable_data();
  int64_t* counted = count.mutable_data();
  ptn_status status;
  {
    py::gil_scoped_release release;
    status = ptn_windows_run(&made.w, memory.get(), bytes, to, counted);
  }
  check(status);
}

// moments [rows / window, ceil(width / window), 2 * planes + pairs], valid [the first two]
py::tuple moments_run(const std::vector<py::array>& planes, const Pairs& pairs, const Mask& valid,
                      int window, int threads) {
  Windows made(planes, pairs, valid, window, threads);
  size_t bytes = 0;
  check(ptn_moments_bytes(&made.w, &bytes));
  const py::ssize_t down = made.w.rows / window, across = (made.w.width + window - 1) / window;
  py::array_t<double> moments({down, across, py::ssize_t{2 * made.w.planes + made.w.pairs}});
  py::array_t<int64_t> counts({down, across});
  const auto memory = allocate(bytes);
  double* to = moments.mutable_data();
  int64_t* counted = counts.mutable_data();
  ptn_status status;
  {
    py::gil_scoped_release release;
    status = ptn_moments_run(&made.w, memory.get(), bytes, to, counted);
  }
  check(status);
  return py::make_tuple(moments, counts);
}

using Weights = py::array_t<double, py::array::c_style>;

// [out_rows, cols] float64
py::array shrink_run(const py::array& plane, const Mask& valid, int64_t first_row,
                     int64_t first_col, int step, const Weights& row_weights,
                     const Weights& col_weights, int64_t out_rows, int64_t cols, int threads) {
  const Windows made({plane}, {}, valid, 1, threads);
  if (row_weights.size() != col_weights.size())
    throw py::value_error("weights must be as many along both axes");
  ptn_shrink s{};
  s.plane = *made.w.plane;
  s.rows = made.w.rows;
  s.width = made.w.width;
  s.valid = made.w.valid;
  s.valid_row_stride = made.w.valid_row_stride;
  s.first_row = first_row;
  s.first_col = first_col;
  s.step = step;
  s.taps = static_cast<int32_t>(row_weights.size());
  s.threads = threads;
  s.row_weights = row_weights.data();
  s.col_weights = col_weights.data();
  s.out_rows = out_rows;
  s.cols = cols;
  size_t bytes = 0;
  check(ptn_shrink_bytes(&s, &bytes));
  py::array_t<double> out({out_rows, cols});
  s.out = out.mutable_data();
  const auto memory = allocate(bytes);
  ptn_status status;
  {
    py::gil_scoped_release release;
    status = ptn_shrink_run(&s, memory.get(), bytes);
  }
  check(status);
  return out;
}

}  // namespace

void bind_indices(py::module_& m) {
  m.attr("WINDOW_ROWS") = PTN_WINDOW_ROWS;
  m.attr("MAX_PLANES") = PTN_MAX_PLANES;
  m.attr("MAX_PAIRS") = PTN_MAX_PAIRS;
  m.attr("MAX_WINDOW") = PTN_MAX_WINDOW;
  m.attr("UQI") = static_cast<int>(PTN_UQI);
  m.attr("DECORRELATION") = static_cast<int>(PTN_DECORRELATION);
  m.attr("SSIM") = static_cast<int>(PTN_SSIM);
  m.attr("GAUSSIAN_UQI") = static_cast<int>(PTN_GAUSSIAN_UQI);
  m.def("windows_run", &windows_run, py::kw_only(), py::arg("planes"), py::arg("pairs"),
        py::arg("valid"), py::arg("index"), py::arg("window"), py::arg("threads"),
        py::arg("c1") = 0.0, py::arg("c2") = 0.0, py::arg("sums").noconvert(),
        py::arg("count").noconvert());
  m.def("moments_run", &moments_run, py::kw_only(), py::arg("planes"), py::arg("pairs"),
        py::arg("valid"), py::arg("window"), py::arg("threads"));
  m.def("shrink_run", &shrink_run, py::kw_only(), py::arg("plane"), py::arg("valid"),
        py::arg("first_row"), py::arg("first_col"), py::arg("step"), py::arg("row_weights"),
        py::arg("col_weights"), py::arg("out_rows"), py::arg("cols"), py::arg("threads"));
}
