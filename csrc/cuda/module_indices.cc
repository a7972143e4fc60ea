// pybind11 binding of the quality indices on a GPU: converts and calls.
#include <pybind11/stl.h>

#include <tuple>
#include <utility>
#include <vector>

#include "csrc/cuda/module.h"
#include "csrc/include/pantiny_cuda_indices.h"

namespace pantiny_module {
namespace {

// (address, dtype, strides of image, row and column in samples)
using Plane = std::tuple<uintptr_t, int, int64_t, int64_t, int64_t>;
using ImageMask = std::tuple<uintptr_t, int64_t, int64_t>;  // address 0: none; of image and row
using Shape = std::pair<int64_t, int64_t>;

// Planes of one shape and their images; the arrays that the C structs point to.
struct Arguments {
  Arguments(const std::vector<Plane>& planes, int count) {
    for (const auto& [address, dtype, image, row, col] : planes) {
      plane.push_back({pointer(address), dtype, row, col});
      stride.push_back(image);
    }
    images.images = count;
    images.plane_stride = stride.data();
  }
  Arguments(const Arguments&) = delete;
  Arguments& operator=(const Arguments&) = delete;

  const uint8_t* mask(const ImageMask& m) {
    images.valid_stride = std::get<1>(m);
    return static_cast<const uint8_t*>(pointer(std::get<0>(m)));
  }

  std::vector<ptn_plane> plane;
  std::vector<int64_t> stride;
  ptn_cuda_images images{};
};

class Windows {
 public:
  Windows(const std::vector<Plane>& planes, const std::vector<std::pair<int, int>>& pairs,
          Shape shape, int images, const ImageMask& valid, int index, int window, double c1,
          double c2)
      : with_(planes, images) {
    for (const auto& [a, b] : pairs) pairs_.insert(pairs_.end(), {a, b});
    w_.rows = shape.first;
    w_.width = shape.second;
    w_.plane = with_.plane.data();
    w_.pair = pairs_.data();
    w_.planes = static_cast<int32_t>(planes.size());
    w_.pairs = static_cast<int32_t>(pairs.size());
    w_.valid = with_.mask(valid);
    w_.valid_row_stride = std::get<2>(valid);
    w_.index = index;
    w_.window = window;
    w_.threads = 1;
    w_.c1 = c1;
    w_.c2 = c2;
  }

  size_t bytes() const {
    size_t bytes = 0;
    check(ptn_cuda_windows_bytes(&w_, &with_.images, &bytes));
    return bytes;
  }

  void run(uintptr_t memory, size_t bytes, uintptr_t sums, uintptr_t count,
           uintptr_t stream) const {
    py::gil_scoped_release release;
    check(ptn_cuda_windows_run(&w_, &with_.images, pointer(memory), bytes,
                               static_cast<double*>(pointer(sums)),
                               static_cast<int64_t*>(pointer(count)), pointer(stream)));
  }

  void moments(uintptr_t moments, uintptr_t valid, uintptr_t stream) const {
    py::gil_scoped_release release;
    check(ptn_cuda_moments_run(&w_, &with_.images, static_cast<double*>(pointer(moments)),
                               static_cast<int64_t*>(pointer(valid)), pointer(stream)));
  }

 private:
  Arguments with_;
  std::vector<int32_t> pairs_;
  ptn_windows w_{};
};

class Shrink {
 public:
  Shrink(const std::vector<Plane>& planes, Shape shape, int images, const ImageMask& valid,
         Shape first, int step, int taps, uintptr_t weights, Shape out_shape)
      : with_(planes, images) {
    s_.rows = shape.first;
    s_.width = shape.second;
    s_.plane = with_.plane.data();
    s_.planes = static_cast<int32_t>(planes.size());
    s_.valid = with_.mask(valid);
    s_.valid_row_stride = std::get<2>(valid);
    s_.first_row = first.first;
    s_.first_col = first.second;
    s_.step = step;
    s_.taps = taps;
    s_.weights = static_cast<const double*>(pointer(weights));
    s_.out_rows = out_shape.first;
    s_.cols = out_shape.second;
  }

  void run(uintptr_t out, uintptr_t stream) const {
    py::gil_scoped_release release;
    check(ptn_cuda_shrink_run(&s_, &with_.images, static_cast<double*>(pointer(out)),
                              pointer(stream)));
  }

  void reach(uintptr_t among, uintptr_t reached, uintptr_t stream) const {
    py::gil_scoped_release release;
    check(ptn_cuda_reach_run(&s_, &with_.images, static_cast<const uint8_t*>(pointer(among)),
                             static_cast<uint8_t*>(pointer(reached)), pointer(stream)));
  }

 private:
  Arguments with_;
  ptn_cuda_shrink s_{};
};

}  // namespace

void bind_indices(py::module_& m) {
  py::class_<Windows>(m, "Windows", py::module_local())
      .def(py::init<const std::vector<Plane>&, const std::vector<std::pair<int, int>>&, Shape, int,
                    const ImageMask&, int, int, double, double>(),
           py::kw_only(), py::arg("planes"), py::arg("pairs"), py::arg("shape"), py::arg("images"),
           py::arg("valid"), py::arg("index"), py::arg("window"), py::arg("c1") = 0.0,
           py::arg("c2") = 0.0)
      .def_property_readonly("bytes", &Windows::bytes)
      .def("run", &Windows::run, py::kw_only(), py::arg("memory"), py::arg("bytes"),
           py::arg("sums"), py::arg("count"), py::arg("stream"))
      .def("moments", &Windows::moments, py::kw_only(), py::arg("moments"), py::arg("valid"),
           py::arg("stream"));
  py::class_<Shrink>(m, "Shrink", py::module_local())
      .def(py::init<const std::vector<Plane>&, Shape, int, const ImageMask&, Shape, int, int,
                    uintptr_t, Shape>(),
           py::kw_only(), py::arg("planes"), py::arg("shape"), py::arg("images"), py::arg("valid"),
           py::arg("first"), py::arg("step"), py::arg("taps"), py::arg("weights"),
           py::arg("out_shape"))
      .def("run", &Shrink::run, py::kw_only(), py::arg("out"), py::arg("stream"))
      .def("reach", &Shrink::reach, py::kw_only(), py::arg("among"), py::arg("reached"),
           py::arg("stream"));
  m.attr("UQI") = static_cast<int>(PTN_UQI);
  m.attr("SSIM") = static_cast<int>(PTN_SSIM);
}

}  // namespace pantiny_module
