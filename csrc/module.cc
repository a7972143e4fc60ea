// pybind11 binding: converts and calls, nothing else. The GIL is released while the core runs.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#ifdef __linux__
#include <sys/mman.h>
#endif

#include "csrc/include/pantiny.h"
#include "csrc/module.h"

namespace py = pybind11;

namespace {

void check(ptn_status status) {
  if (status != PTN_OK) throw std::runtime_error(ptn_status_text(status));
}

// Working memory of the last plan, kept for the next one: a program that fuses tile after tile
// would otherwise get its pages anew, cleared, in every call.
class Workspace {
 public:
  static constexpr size_t kKeep = size_t{192} << 20;  // larger blocks are not kept

  void* take(size_t bytes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (bytes <= bytes_ && bytes_ / 2 <= bytes) {
      bytes_ = 0;
      return std::exchange(memory_, nullptr);
    }
    return nullptr;
  }

  void give(void* memory, size_t bytes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (bytes <= kKeep) {
      std::swap(memory, memory_);
      bytes_ = bytes;
    }
    std::free(memory);
  }

  void clear() {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::free(std::exchange(memory_, nullptr));
    bytes_ = 0;
  }

 private:
  std::mutex mutex_;
  void* memory_ = nullptr;
  size_t bytes_ = 0;
};

Workspace& workspace() {
  static Workspace* const one = new Workspace;  // never destroyed: plans may outlive statics
  return *one;
}

// Large blocks in large pages where the system has them: a strip touches one page per channel.
class Memory {
 public:
  Memory() = default;
  explicit Memory(size_t bytes) {
    constexpr size_t kPage = size_t{2} << 20;
    const size_t unit = bytes >= 2 * kPage ? kPage : 64;
    bytes_ = (bytes + unit - 1) / unit * unit;
    memory_ = workspace().take(bytes_);
    if (memory_) return;
    workspace().clear();  // what does not fit must not add to what is needed now
    memory_ = std::aligned_alloc(unit, bytes_);
    if (!memory_) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
    if (unit == kPage) madvise(memory_, bytes_, MADV_HUGEPAGE);
#endif
  }
  Memory(Memory&& other) noexcept
      : memory_(std::exchange(other.memory_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  Memory& operator=(Memory&& other) noexcept {
    std::swap(memory_, other.memory_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Memory() {
    if (memory_) workspace().give(memory_, bytes_);
  }
  void* get() const { return memory_; }

 private:
  void* memory_ = nullptr;
  size_t bytes_ = 0;
};

using Tensors = std::map<std::string, py::array_t<float, py::array::c_style>>;

class Model {
 public:
  Model(const ptn_arch& arch, const Tensors& tensors) {
    std::vector<ptn_tensor> list;
    for (const auto& [name, array] : tensors)
      list.push_back({name.c_str(), array.data(), static_cast<int64_t>(array.size())});
    size_t bytes = 0;
    check(ptn_model_bytes(&arch, &bytes));
    memory_ = Memory(bytes);
    check(ptn_model_create(&arch, list.data(), static_cast<int32_t>(list.size()), memory_.get(),
                           bytes, &model_));
  }
  const ptn_model* get() const { return model_; }
  int passes() const { return ptn_model_passes(model_); }
  size_t plan_bytes(const ptn_scene& scene) const {
    size_t bytes = 0;
    check(ptn_plan_bytes(model_, &scene, &bytes));
    return bytes;
  }

 private:
  Memory memory_;
  ptn_model* model_ = nullptr;
};

int32_t dtype_of(const py::array& a) {
  if (py::isinstance<py::array_t<uint8_t>>(a)) return PTN_U8;
  if (py::isinstance<py::array_t<uint16_t>>(a)) return PTN_U16;
  if (py::isinstance<py::array_t<int16_t>>(a)) return PTN_I16;
  if (py::isinstance<py::array_t<float>>(a)) return PTN_F32;
  throw py::type_error("dtype must be uint8, uint16, int16 or float32");
}

int64_t stride(const py::array& a, int axis) { return a.strides(axis) / a.itemsize(); }

using Mask = std::optional<py::array_t<uint8_t, py::array::c_style>>;
using Bands = std::vector<int32_t>;

class Plan {
 public:
  Plan(std::shared_ptr<Model> model, const ptn_scene& scene)
      : model_(std::move(model)), bytes_(model_->plan_bytes(scene)) {
    memory_ = Memory(bytes_);
    check(ptn_plan_create(model_->get(), &scene, memory_.get(), bytes_, &plan_));
  }

  py::tuple input_rows(int pass, int64_t y0, int64_t y1) const {
    ptn_rows r{};
    check(ptn_plan_input_rows(plan_, pass, y0, y1, &r));
    return py::make_tuple(r.pan_first, r.pan_last, r.ms_first, r.ms_last);
  }

  // ms [K, rows, w], pan [rows, W], masks as their images; out [K, rows, W]
  void run(int pass, int64_t y0, int64_t y1, const py::array& ms, int64_t ms_first,
           const Bands& ms_bands, const py::array& pan, int64_t pan_first, const Mask& valid,
           const Mask& ms_valid, std::optional<py::array> out, const Bands& out_bands, double low,
           double high, double fill, bool reserve) {
    ptn_input in{};
    in.ms = ms.data();
    in.ms_dtype = dtype_of(ms);
    in.ms_first = ms_first;
    in.ms_rows = ms.shape(1);
    in.ms_band_stride = stride(ms, 0);
    in.ms_row_stride = stride(ms, 1);
    in.ms_col_stride = stride(ms, 2);
    in.ms_bands = ms_bands.data();
    in.pan = pan.data();
    in.pan_dtype = dtype_of(pan);
    in.pan_first = pan_first;
    in.pan_rows = pan.shape(0);
    in.pan_row_stride = stride(pan, 0);
    in.pan_col_stride = stride(pan, 1);
    if (valid) {
      in.valid = valid->data();
      in.valid_row_stride = valid->shape(1);
    }
    if (ms_valid) {
      in.ms_valid = ms_valid->data();
      in.ms_valid_row_stride = ms_valid->shape(1);
    }
    ptn_output o{};
    if (out) {
      o.fused = out->mutable_data();
      o.dtype = dtype_of(*out);
      o.band_stride = stride(*out, 0);
      o.row_stride = stride(*out, 1);
      o.col_stride = stride(*out, 2);
      o.bands = out_bands.data();
      o.low = low;
      o.high = high;
      o.reserve_fill = reserve;
      o.fill = fill;
    }
    ptn_status status;
    {
      py::gil_scoped_release release;
      status = ptn_plan_run(plan_, pass, y0, y1, &in, out ? &o : nullptr);
    }
    check(status);
  }

  size_t bytes() const { return bytes_; }

 private:
  std::shared_ptr<Model> model_;
  size_t bytes_;
  Memory memory_;
  ptn_plan* plan_ = nullptr;
};

ptn_arch make_arch(int bands, int channels, int heads, int encoder_blocks, int body_blocks,
                   int fusion) {
  return {bands, channels, heads, encoder_blocks, body_blocks, fusion};
}

ptn_scene make_scene(std::pair<int64_t, int64_t> shape, std::pair<int64_t, int64_t> ms_shape,
                     std::pair<double, double> scale, std::pair<double, double> offset,
                     double dn_per_unit, int consistency, const std::vector<double>& gains,
                     int threads, bool keep, bool bf16, std::pair<int64_t, int64_t> tile,
                     int64_t band_rows) {
  ptn_scene s{};
  s.height = shape.first;
  s.width = shape.second;
  s.ms_height = ms_shape.first;
  s.ms_width = ms_shape.second;
  s.scale_y = scale.first;
  s.scale_x = scale.second;
  s.offset_y = offset.first;
  s.offset_x = offset.second;
  s.dn_per_unit = dn_per_unit;
  s.consistency = consistency;
  for (size_t i = 0; i < gains.size() && i < PTN_MAX_BANDS; ++i) s.gains[i] = gains[i];
  s.threads = threads;
  s.storage = keep ? PTN_KEEP : PTN_RECOMPUTE;
  s.precision = bf16 ? PTN_BF16 : PTN_FP32;
  s.tile_rows = tile.first;
  s.tile_cols = tile.second;
  s.band_rows = band_rows;
  return s;
}

}  // namespace

PYBIND11_MODULE(_core, m) {
  m.doc() = "The compiled core; use pantiny.fuse instead.";
  m.attr("BLOCK") = PTN_BLOCK;
  m.attr("COLUMNS") = PTN_COLUMNS;
  m.def("abi_version", &ptn_abi_version);
  m.def("isa", &ptn_isa);
  m.def("isa_usable", &ptn_isa_usable);
#ifdef PTN_EMULATE_BF16
  m.attr("BF16_EMULATED") = true;
#else
  m.attr("BF16_EMULATED") = false;
#endif
  m.def("bf16_usable", [] { return ptn_bf16_usable() != 0; });
  m.def("isa_choose", [](const std::string& name) { check(ptn_isa_choose(name.c_str())); });
  bind_indices(m);
  m.def("peak_gflops", [](int threads) {
    double gflops = 0;
    py::gil_scoped_release release;
    check(ptn_peak_gflops(threads, &gflops));
    return gflops;
  });
  m.def("copy_gbytes", [](int threads) {
    constexpr size_t kBytes = size_t{256} << 20;
    Memory memory(kBytes);
    std::memset(memory.get(), 1, kBytes);
    double gbytes = 0;
    py::gil_scoped_release release;
    check(ptn_copy_gbytes(threads, memory.get(), kBytes, &gbytes));
    return gbytes;
  });
  py::class_<ptn_arch>(m, "Arch").def(
      py::init(&make_arch), py::kw_only(), py::arg("bands"), py::arg("channels"), py::arg("heads"),
      py::arg("encoder_blocks"), py::arg("body_blocks"), py::arg("fusion"));
  py::class_<ptn_scene>(m, "Scene")
      .def(py::init(&make_scene), py::kw_only(), py::arg("shape"), py::arg("ms_shape"),
           py::arg("scale"), py::arg("offset"), py::arg("dn_per_unit"), py::arg("consistency"),
           py::arg("gains"), py::arg("threads"), py::arg("keep"), py::arg("bf16") = false,
           py::arg("tile"), py::arg("band_rows"));
  py::class_<Model, std::shared_ptr<Model>>(m, "Model")
      .def(py::init<const ptn_arch&, const Tensors&>())
      .def_property_readonly("passes", &Model::passes)
      .def("plan_bytes", &Model::plan_bytes);
  py::class_<Plan>(m, "Plan")
      .def(py::init<std::shared_ptr<Model>, const ptn_scene&>())
      .def_property_readonly("bytes", &Plan::bytes)
      .def("input_rows", &Plan::input_rows)
      .def("run", &Plan::run, py::kw_only(), py::arg("pass_"), py::arg("y0"), py::arg("y1"),
           py::arg("ms"), py::arg("ms_first"), py::arg("ms_bands"), py::arg("pan"),
           py::arg("pan_first"), py::arg("valid"), py::arg("ms_valid"), py::arg("out"),
           py::arg("out_bands"), py::arg("low"), py::arg("high"), py::arg("fill"),
           py::arg("reserve"));
}
