// pybind11 binding of the CUDA interface: converts and calls. Compiled once against the CUDA
// kernels (PTN_CUDA_MODULE = _cuda) and once against their emulation (_cuda_emulated).
#include "csrc/cuda/module.h"

#include <cstring>
#include <memory>
#include <utility>

#include "csrc/include/pantiny_cuda_indices.h"

using namespace pantiny_module;

namespace {

// Planes of one shape on the device: (address, dtype, row stride, column stride).
using Plane = std::tuple<uintptr_t, int, int64_t, int64_t>;

class Windows {
 public:
  Windows(const std::vector<Plane>& planes, const std::vector<std::pair<int, int>>& pairs,
          std::pair<int64_t, int64_t> shape, int index, int window, double c1, double c2) {
    for (const auto& [address, dtype, row, col] : planes)
      planes_.push_back({pointer(address), dtype, row, col});
    for (const auto& [a, b] : pairs) pairs_.insert(pairs_.end(), {a, b});
    w_.rows = shape.first;
    w_.width = shape.second;
    w_.plane = planes_.data();
    w_.pair = pairs_.data();
    w_.planes = static_cast<int32_t>(planes.size());
    w_.pairs = static_cast<int32_t>(pairs.size());
    w_.index = index;
    w_.window = window;
    w_.threads = 1;
    w_.c1 = c1;
    w_.c2 = c2;
    size_t bytes = 0;
    check(ptn_cuda_windows_bytes(&w_, &bytes));
    memory_ = std::make_unique<Memory>(bytes);
    sums_ = std::make_unique<Memory>((pairs.size() + 1) * sizeof(double));
  }

  void queue(uintptr_t stream) const {
    auto* sums = static_cast<double*>(sums_->get());
    check(ptn_cuda_windows_run(&w_, memory_->get(), memory_->bytes(), sums,
                               reinterpret_cast<int64_t*>(sums + w_.pairs), pointer(stream)));
  }

  // Mean index of each pair, of one run.
  std::vector<double> means() const {
    std::vector<double> sums(static_cast<size_t>(w_.pairs) + 1);
    const size_t bytes = sums.size() * sizeof(double);
    check(ptn_cuda_copy_in(sums_->get(), sums.data(), bytes, nullptr));
    queue(0);
    check(ptn_cuda_copy_out(sums.data(), sums_->get(), bytes, nullptr));
    int64_t count = 0;
    std::memcpy(&count, &sums.back(), sizeof count);
    sums.pop_back();
    for (double& s : sums) s /= static_cast<double>(count);
    return sums;
  }

 private:
  std::vector<ptn_plane> planes_;
  std::vector<int32_t> pairs_;
  ptn_windows w_{};
  std::unique_ptr<Memory> memory_, sums_;
};

}  // namespace

PYBIND11_MODULE(PTN_CUDA_MODULE, m) {
  // module_local: a process may hold both modules
  m.doc() = "The CUDA core; use pantiny.fuse instead.";
  m.attr("FP32") = static_cast<int>(PTN_CUDA_FP32);
  m.attr("FP16") = static_cast<int>(PTN_CUDA_FP16);
  m.attr("BF16") = static_cast<int>(PTN_CUDA_BF16);
#ifdef PTN_CUDA_ARCHITECTURES
  m.attr("ARCHITECTURES") = PTN_CUDA_ARCHITECTURES;
#else
  m.attr("ARCHITECTURES") = "emulated";
#endif
  bind_devices(m);
  bind_network(m);
  py::class_<Windows>(m, "Windows", py::module_local())
      .def(py::init<const std::vector<Plane>&, const std::vector<std::pair<int, int>>&,
                    std::pair<int64_t, int64_t>, int, int, double, double>(),
           py::arg("planes"), py::arg("pairs"), py::arg("shape"), py::arg("index"),
           py::arg("window"), py::arg("c1") = 0.0, py::arg("c2") = 0.0)
      .def("queue", &Windows::queue)
      .def("means", &Windows::means);
  m.attr("UQI") = static_cast<int>(PTN_UQI);
  m.attr("SSIM") = static_cast<int>(PTN_SSIM);
}
