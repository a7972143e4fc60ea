// pybind11 binding of the CUDA interface: converts and calls. Compiled once against the CUDA
// kernels (PTN_CUDA_MODULE = _cuda) and once against their emulation (_cuda_emulated).
#include "csrc/cuda/module.h"

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "csrc/include/pantiny_cuda.h"

namespace py = pybind11;

namespace {

using pantiny::cuda::check;
using pantiny::cuda::pointer;

// A block of device memory, 256-byte aligned.
class Memory {
 public:
  explicit Memory(size_t bytes) : bytes_(bytes) {
    constexpr size_t kAligned = 256;
    check(ptn_cuda_allocate(bytes + kAligned, &block_));
    const auto at = reinterpret_cast<uintptr_t>(block_);
    memory_ = pointer((at + kAligned - 1) / kAligned * kAligned);
  }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory() { ptn_cuda_release(block_); }

  void* get() const { return memory_; }
  uintptr_t address() const { return reinterpret_cast<uintptr_t>(memory_); }
  size_t bytes() const { return bytes_; }

  void copy_in(const py::array& from, uintptr_t stream) {
    check_size(from);
    py::gil_scoped_release release;
    check(ptn_cuda_copy_in(memory_, from.data(), static_cast<size_t>(from.nbytes()),
                           pointer(stream)));
  }
  void copy_out(py::array to, uintptr_t stream) const {
    check_size(to);
    void* data = to.mutable_data();
    const auto count = static_cast<size_t>(to.nbytes());
    py::gil_scoped_release release;
    check(ptn_cuda_copy_out(data, memory_, count, pointer(stream)));
  }

 private:
  void check_size(const py::array& a) const {
    if (!(a.flags() & py::array::c_style) || static_cast<size_t>(a.nbytes()) > bytes_)
      throw py::value_error("need a C-contiguous array no larger than the memory");
  }

  void* block_ = nullptr;
  void* memory_ = nullptr;
  size_t bytes_;
};

using Tensors = std::map<std::string, py::array_t<float, py::array::c_style>>;

class Model {
 public:
  Model(std::array<int, 6> a, int precision, const Tensors& tensors)
      : memory_(bytes_of(a, precision)) {
    std::vector<ptn_tensor> list;
    for (const auto& [name, array] : tensors)
      list.push_back({name.c_str(), array.data(), static_cast<int64_t>(array.size())});
    const ptn_arch arch = arch_of(a);
    check(ptn_cuda_model_create(&arch, precision, list.data(), static_cast<int32_t>(list.size()),
                                memory_.get(), memory_.bytes(), &model_));
  }
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;
  ~Model() { ptn_cuda_model_destroy(model_); }
  const ptn_cuda_model* get() const { return model_; }

 private:
  static ptn_arch arch_of(const std::array<int, 6>& a) {
    return {a[0], a[1], a[2], a[3], a[4], a[5]};
  }
  static size_t bytes_of(const std::array<int, 6>& a, int precision) {
    const ptn_arch arch = arch_of(a);
    size_t bytes = 0;
    check(ptn_cuda_model_bytes(&arch, precision, &bytes));
    return bytes;
  }

  Memory memory_;
  ptn_cuda_model* model_ = nullptr;
};

// (address, dtype, strides of image, band, row, column)
using Samples = std::tuple<uintptr_t, int, std::array<int64_t, 4>>;
using Mask = std::tuple<uintptr_t, std::array<int64_t, 2>>;  // address 0: none

ptn_cuda_samples samples_of(const Samples& s) {
  const auto& [address, dtype, stride] = s;
  return {pointer(address), dtype, stride[0], stride[1], stride[2], stride[3]};
}

ptn_cuda_mask mask_of(const Mask& m) {
  const auto& [address, stride] = m;
  return {static_cast<const uint8_t*>(pointer(address)), stride[0], stride[1]};
}

template <class To>
void copy_bands(const std::vector<int32_t>& from, To* to) {
  for (size_t i = 0; i < from.size() && i < PTN_MAX_BANDS; ++i) to[i] = from[i];
}

ptn_cuda_scene scene_of(int images, std::pair<int64_t, int64_t> shape,
                        std::pair<int64_t, int64_t> ms_shape, std::pair<double, double> scale,
                        std::pair<double, double> offset, int consistency,
                        const std::vector<double>& gains) {
  ptn_cuda_scene s{};
  s.images = images;
  s.height = shape.first;
  s.width = shape.second;
  s.ms_height = ms_shape.first;
  s.ms_width = ms_shape.second;
  s.scale_y = scale.first;
  s.scale_x = scale.second;
  s.offset_y = offset.first;
  s.offset_x = offset.second;
  s.consistency = consistency;
  for (size_t i = 0; i < gains.size() && i < PTN_MAX_BANDS; ++i) s.gains[i] = gains[i];
  return s;
}

size_t plan_bytes(const Model& model, const ptn_cuda_scene& scene) {
  size_t bytes = 0;
  check(ptn_cuda_plan_bytes(model.get(), &scene, &bytes));
  return bytes;
}

class Plan {
 public:
  Plan(std::shared_ptr<Model> model, const ptn_cuda_scene& scene)
      : model_(std::move(model)), memory_(plan_bytes(*model_, scene)) {
    check(ptn_cuda_plan_create(model_->get(), &scene, memory_.get(), memory_.bytes(), &plan_));
  }
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;
  ~Plan() { ptn_cuda_plan_destroy(plan_); }
  size_t bytes() const { return memory_.bytes(); }

  void run(const Samples& ms, const Samples& pan, const std::vector<int32_t>& ms_bands,
           const Mask& valid, const Mask& ms_valid, uintptr_t dn_per_unit, const Samples& out,
           const std::vector<int32_t>& out_bands, double low, double high, double fill,
           bool reserve, uintptr_t stream) {
    ptn_cuda_input in{};
    in.ms = samples_of(ms);
    in.pan = samples_of(pan);
    copy_bands(ms_bands, in.ms_bands);
    in.valid = mask_of(valid);
    in.ms_valid = mask_of(ms_valid);
    in.device_dn_per_unit = static_cast<const double*>(pointer(dn_per_unit));
    ptn_cuda_output o{};
    const auto& [address, dtype, stride] = out;
    o.device_fused = pointer(address);
    o.dtype = dtype;
    o.image_stride = stride[0];
    o.band_stride = stride[1];
    o.row_stride = stride[2];
    o.col_stride = stride[3];
    copy_bands(out_bands, o.bands);
    o.low = low;
    o.high = high;
    o.fill = fill;
    o.reserve_fill = reserve;
    py::gil_scoped_release release;
    check(ptn_cuda_plan_run(plan_, &in, &o, pointer(stream)));
  }

 private:
  std::shared_ptr<Model> model_;
  Memory memory_;
  ptn_cuda_plan* plan_ = nullptr;
};

void scale(const Samples& ms, std::array<int64_t, 3> shape, const std::vector<int32_t>& bands,
           const Mask& ms_valid, uintptr_t scratch, uintptr_t dn_per_unit, uintptr_t stream) {
  const ptn_cuda_samples samples = samples_of(ms);
  const ptn_cuda_mask mask = mask_of(ms_valid);
  py::gil_scoped_release release;
  check(ptn_cuda_scale(static_cast<int32_t>(shape[0]), static_cast<int32_t>(bands.size()),
                       bands.data(), shape[1], shape[2], &samples, &mask, pointer(scratch),
                       static_cast<double*>(pointer(dn_per_unit)), pointer(stream)));
}

void masks(const Samples& ms, const Samples& pan, std::array<int64_t, 4> shape, int ratio,
           const Mask& ms_valid, const Mask& valid, std::optional<double> nodata,
           uintptr_t ms_valid_out, uintptr_t valid_out, uintptr_t found, uintptr_t stream) {
  ptn_cuda_masks m{};
  m.images = static_cast<int32_t>(shape[0]);
  m.bands = static_cast<int32_t>(shape[1]);
  m.ms_height = shape[2];
  m.ms_width = shape[3];
  m.ratio = ratio;
  m.ms = samples_of(ms);
  m.pan = samples_of(pan);
  m.ms_valid = mask_of(ms_valid);
  m.valid = mask_of(valid);
  m.has_nodata = nodata.has_value();
  m.nodata = nodata.value_or(0);
  m.device_ms_valid = static_cast<uint8_t*>(pointer(ms_valid_out));
  m.device_valid = static_cast<uint8_t*>(pointer(valid_out));
  m.device_found = static_cast<uint32_t*>(pointer(found));
  py::gil_scoped_release release;
  check(ptn_cuda_masks_run(&m, pointer(stream)));
}

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
  m.def("devices", [] {
    py::list out;
    for (int i = 0, n = ptn_cuda_devices(); i < n; ++i) {
      char name[256];
      int32_t capability = 0, multiprocessors = 0;
      int64_t memory = 0;
      check(ptn_cuda_device(i, name, &capability, &multiprocessors, &memory));
      out.append(py::make_tuple(std::string(name), capability, multiprocessors, memory));
    }
    return out;
  });
  m.def("error", [] { return std::string(ptn_cuda_error()); });
  m.def("use", [](int device) {
    int32_t before = 0;
    check(ptn_cuda_use(device, &before));
    return before;
  });
  m.def("wait", [](uintptr_t stream) {
    py::gil_scoped_release release;
    check(ptn_cuda_wait(pointer(stream)));
  });
  m.def("supports", [](std::array<int, 6> a, int precision) {
    const ptn_arch arch{a[0], a[1], a[2], a[3], a[4], a[5]};
    size_t bytes = 0;
    return ptn_cuda_model_bytes(&arch, precision, &bytes) == PTN_OK;
  });
  m.def("scale_bytes", &ptn_cuda_scale_bytes);
  m.def("scale", &scale, py::kw_only(), py::arg("ms"), py::arg("shape"), py::arg("bands"),
        py::arg("ms_valid"), py::arg("scratch"), py::arg("dn_per_unit"), py::arg("stream"));
  m.def("masks", &masks, py::kw_only(), py::arg("ms"), py::arg("pan"), py::arg("shape"),
        py::arg("ratio"), py::arg("ms_valid"), py::arg("valid"), py::arg("nodata"),
        py::arg("ms_valid_out"), py::arg("valid_out"), py::arg("found"), py::arg("stream"));
  py::class_<ptn_cuda_scene>(m, "Scene", py::module_local())
      .def(py::init(&scene_of), py::kw_only(), py::arg("images"), py::arg("shape"),
           py::arg("ms_shape"), py::arg("scale"), py::arg("offset"), py::arg("consistency"),
           py::arg("gains"));
  py::class_<Memory, std::shared_ptr<Memory>>(m, "Memory", py::module_local())
      .def(py::init<size_t>())
      .def_property_readonly("address", &Memory::address)
      .def_property_readonly("bytes", &Memory::bytes)
      .def("copy_in", &Memory::copy_in, py::arg("array"), py::arg("stream") = 0)
      .def("copy_out", &Memory::copy_out, py::arg("array"), py::arg("stream") = 0);
  py::class_<Model, std::shared_ptr<Model>>(m, "Model", py::module_local())
      .def(py::init<std::array<int, 6>, int, const Tensors&>(), py::arg("arch"),
           py::arg("precision"), py::arg("tensors"));
  m.def("plan_bytes", &plan_bytes);
  pantiny::cuda::bind_indices(m);
  pantiny::cuda::bind_dlpack(m);
  py::class_<Plan>(m, "Plan", py::module_local())
      .def(py::init<std::shared_ptr<Model>, const ptn_cuda_scene&>())
      .def_property_readonly("bytes", &Plan::bytes)
      .def("run", &Plan::run, py::kw_only(), py::arg("ms"), py::arg("pan"), py::arg("ms_bands"),
           py::arg("valid"), py::arg("ms_valid"), py::arg("dn_per_unit"), py::arg("out"),
           py::arg("out_bands"), py::arg("low"), py::arg("high"), py::arg("fill"),
           py::arg("reserve"), py::arg("stream"));
}
