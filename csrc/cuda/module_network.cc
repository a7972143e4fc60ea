// Binding of the network and what is done to its images.
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "csrc/cuda/module.h"

namespace pantiny_module {

namespace {

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

ptn_cuda_input input_of(const Samples& ms, const Samples& pan, const std::vector<int32_t>& ms_bands,
                        const Mask& valid, const Mask& ms_valid, uintptr_t dn_per_unit) {
  ptn_cuda_input in{};
  in.ms = samples_of(ms);
  in.pan = samples_of(pan);
  copy_bands(ms_bands, in.ms_bands);
  in.valid = mask_of(valid);
  in.ms_valid = mask_of(ms_valid);
  in.device_dn_per_unit = static_cast<const double*>(pointer(dn_per_unit));
  return in;
}

ptn_cuda_output output_of(const Samples& out, const std::vector<int32_t>& bands, double low,
                          double high, double fill, bool reserve) {
  ptn_cuda_output o{};
  const ptn_cuda_samples to = samples_of(out);
  o.device_fused = const_cast<void*>(to.device_data);
  o.dtype = to.dtype;
  o.image_stride = to.image_stride;
  o.band_stride = to.band_stride;
  o.row_stride = to.row_stride;
  o.col_stride = to.col_stride;
  copy_bands(bands, o.bands);
  o.low = low;
  o.high = high;
  o.fill = fill;
  o.reserve_fill = reserve;
  return o;
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
  int graphs() const { return ptn_cuda_plan_graphs(plan_); }

  void run(const ptn_cuda_input& in, const ptn_cuda_output& out, uintptr_t stream) {
    py::gil_scoped_release release;
    check(ptn_cuda_plan_run(plan_, &in, &out, pointer(stream)));
  }

 private:
  std::shared_ptr<Model> model_;
  Memory memory_;
  ptn_cuda_plan* plan_ = nullptr;
};

size_t scan_bytes(const Model& model, const ptn_cuda_scene& scene, const ptn_cuda_bands& bands) {
  size_t bytes = 0;
  check(ptn_cuda_scan_bytes(model.get(), &scene, &bands, &bytes));
  return bytes;
}

class Scan {
 public:
  Scan(std::shared_ptr<Model> model, const ptn_cuda_scene& scene, const ptn_cuda_bands& bands)
      : model_(std::move(model)), memory_(scan_bytes(*model_, scene, bands)) {
    check(ptn_cuda_scan_create(model_->get(), &scene, &bands, memory_.get(), memory_.bytes(),
                               &scan_));
  }
  Scan(const Scan&) = delete;
  Scan& operator=(const Scan&) = delete;
  ~Scan() { ptn_cuda_scan_destroy(scan_); }

  std::pair<int64_t, int64_t> rows(int pass, int64_t y0, int64_t y1) const {
    ptn_rows r{};
    check(ptn_cuda_scan_rows(scan_, pass, y0, y1, &r));
    return {r.pan_first, r.pan_last};
  }

  void run(int pass, int64_t y0, int64_t y1, const ptn_cuda_input& in, int64_t pan_first,
           const ptn_cuda_output* out, uintptr_t stream) {
    py::gil_scoped_release release;
    check(ptn_cuda_scan_run(scan_, pass, y0, y1, &in, pan_first, out, pointer(stream)));
  }

  std::pair<uintptr_t, int64_t> sums(int pass, int64_t y0, int64_t y1) const {
    double* at = nullptr;
    int64_t count = 0;
    check(ptn_cuda_scan_sums(scan_, pass, y0, y1, &at, &count));
    return {address_of(at), count};
  }

  void fold(int pass, uintptr_t stream) { check(ptn_cuda_scan_fold(scan_, pass, pointer(stream))); }

 private:
  std::shared_ptr<Model> model_;
  Memory memory_;
  ptn_cuda_scan* scan_ = nullptr;
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

bool supports(std::array<int, 6> a, int precision) {
  const ptn_arch arch{a[0], a[1], a[2], a[3], a[4], a[5]};
  size_t bytes = 0;
  return ptn_cuda_model_bytes(&arch, precision, &bytes) == PTN_OK;
}

}  // namespace

void bind_network(py::module_& m) {
  m.def("supports", &supports);
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
  py::class_<Model, std::shared_ptr<Model>>(m, "Model", py::module_local())
      .def(py::init<std::array<int, 6>, int, const Tensors&>(), py::arg("arch"),
           py::arg("precision"), py::arg("tensors"))
      .def_property_readonly("passes",
                             [](const Model& model) { return ptn_cuda_passes(model.get()); });
  py::class_<ptn_cuda_input>(m, "Input", py::module_local())
      .def(py::init(&input_of), py::kw_only(), py::arg("ms"), py::arg("pan"), py::arg("ms_bands"),
           py::arg("valid"), py::arg("ms_valid"), py::arg("dn_per_unit"));
  py::class_<ptn_cuda_output>(m, "Output", py::module_local())
      .def(py::init(&output_of), py::kw_only(), py::arg("out"), py::arg("bands"), py::arg("low"),
           py::arg("high"), py::arg("fill"), py::arg("reserve"));
  m.def("plan_bytes", &plan_bytes);
  py::class_<Plan>(m, "Plan", py::module_local())
      .def(py::init<std::shared_ptr<Model>, const ptn_cuda_scene&>())
      .def_property_readonly("bytes", &Plan::bytes)
      .def_property_readonly("graphs", &Plan::graphs)
      .def("run", &Plan::run, py::arg("input"), py::arg("output"), py::arg("stream"));
  py::class_<ptn_cuda_bands>(m, "Bands", py::module_local())
      .def(py::init([](int64_t rows, bool keep, int64_t first, int64_t last) {
             return ptn_cuda_bands{rows, keep, first, last};
           }),
           py::kw_only(), py::arg("rows"), py::arg("keep"), py::arg("first"), py::arg("last"));
  m.def("scan_bytes", &scan_bytes);
  m.def("scan_step", [](const Model& model, const ptn_cuda_scene& scene) {
    return ptn_cuda_scan_step(model.get(), &scene);
  });
  m.def("scan_margin", [](const Model& model, const ptn_cuda_scene& scene) {
    return ptn_cuda_scan_margin(model.get(), &scene);
  });
  py::class_<Scan>(m, "Scan", py::module_local())
      .def(py::init<std::shared_ptr<Model>, const ptn_cuda_scene&, const ptn_cuda_bands&>())
      .def("rows", &Scan::rows)
      .def("run", &Scan::run, py::arg("pass_"), py::arg("y0"), py::arg("y1"), py::arg("input"),
           py::arg("pan_first"), py::arg("output"), py::arg("stream"))
      .def("sums", &Scan::sums)
      .def("fold", &Scan::fold);
}

}  // namespace pantiny_module
