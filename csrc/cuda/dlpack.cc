// DLPack capsules in and out.
#include "csrc/cuda/dlpack.h"

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <string>
#include <vector>

#include "csrc/cuda/module.h"

namespace pantiny_module {
namespace {

using namespace pantiny::cuda::dlpack;

std::string name_of(DataType d) {
  const char* kind = d.code == kInt     ? "int"
                     : d.code == kUInt  ? "uint"
                     : d.code == kFloat ? "float"
                     : d.code == kBool  ? "bool"
                                        : "type";
  if (d.code == kBool && d.bits == 8 && d.lanes == 1) return kind;
  std::string name = kind + std::to_string(d.bits);
  return d.lanes == 1 ? name : name + "x" + std::to_string(d.lanes);
}

// A tensor taken out of its capsule, given back when this goes.
class Imported {
 public:
  explicit Imported(const py::capsule& capsule) {
    if (!take<Managed>(capsule) && !take<ManagedVersioned>(capsule))
      throw py::value_error("need a DLPack capsule that nobody has taken");
  }
  Imported(const Imported&) = delete;
  Imported& operator=(const Imported&) = delete;
  ~Imported() {
    if (release_) release_(managed_);
  }

  uintptr_t address() const { return reinterpret_cast<uintptr_t>(tensor_->data) + offset(); }
  py::tuple device() const { return py::make_tuple(tensor_->device.type, tensor_->device.id); }
  std::string dtype() const { return name_of(tensor_->dtype); }
  bool read_only() const { return read_only_; }
  std::vector<int64_t> shape() const { return {tensor_->shape, tensor_->shape + tensor_->ndim}; }

  std::vector<int64_t> strides() const {
    if (tensor_->strides) return {tensor_->strides, tensor_->strides + tensor_->ndim};
    std::vector<int64_t> packed(static_cast<size_t>(tensor_->ndim), 1);
    for (size_t i = packed.size(); i > 1; --i)
      packed[i - 2] = packed[i - 1] * tensor_->shape[i - 1];
    return packed;
  }

 private:
  uintptr_t offset() const { return static_cast<uintptr_t>(tensor_->byte_offset); }

  static bool known(const Managed&) { return true; }
  static bool known(const ManagedVersioned& m) { return m.major == kMajor; }
  static bool locked(const Managed&) { return false; }
  static bool locked(const ManagedVersioned& m) { return (m.flags & kReadOnly) != 0; }

  template <class Kind>
  bool take(const py::capsule& capsule) {
    if (!PyCapsule_IsValid(capsule.ptr(), Kind::kName)) return false;
    auto* managed = static_cast<Kind*>(PyCapsule_GetPointer(capsule.ptr(), Kind::kName));
    if (!known(*managed)) throw py::value_error("need DLPack of version 1");
    if (PyCapsule_SetName(capsule.ptr(), Kind::kUsed) != 0) throw py::error_already_set();
    managed_ = managed;
    tensor_ = &managed->tensor;
    read_only_ = locked(*managed);
    if (managed->deleter)
      release_ = [](void* p) {
        auto* m = static_cast<Kind*>(p);
        m->deleter(m);
      };
    return true;
  }

  void* managed_ = nullptr;
  const Tensor* tensor_ = nullptr;
  bool read_only_ = false;
  void (*release_)(void*) = nullptr;
};

// What an exported tensor points to, and what keeps its memory alive.
template <class Kind>
struct Exported {
  Kind managed{};
  std::vector<int64_t> shape, strides;
  py::object owner;
};

void stamp(Managed&) {}
void stamp(ManagedVersioned& m) {
  m.major = kMajor;
  m.minor = kMinor;
}

template <class Kind>
py::capsule exported(py::object owner, uintptr_t address, const std::vector<int64_t>& shape,
                     DataType dtype, int device) {
  auto e = std::make_unique<Exported<Kind>>();
  e->shape = shape;
  e->strides.assign(shape.size(), 1);
  for (size_t i = shape.size(); i > 1; --i) e->strides[i - 2] = e->strides[i - 1] * shape[i - 1];
  e->owner = std::move(owner);
  Kind& m = e->managed;
  stamp(m);
  m.tensor = {pointer(address),
              {kCuda, device},
              static_cast<int32_t>(shape.size()),
              dtype,
              e->shape.data(),
              e->strides.data(),
              0};
  m.context = e.get();
  m.deleter = [](Kind* k) {  // from any thread, with the interpreter or without
    if (!Py_IsInitialized()) return;
    py::gil_scoped_acquire hold;
    delete static_cast<Exported<Kind>*>(k->context);
  };
  py::capsule made(&m, Kind::kName, [](PyObject* capsule) {
    if (!PyCapsule_IsValid(capsule, Kind::kName)) return;  // taken: its deleter is the taker's
    auto* k = static_cast<Kind*>(PyCapsule_GetPointer(capsule, Kind::kName));
    k->deleter(k);
  });
  e.release();
  return made;
}

py::capsule to_dlpack(py::object owner, uintptr_t address, const std::vector<int64_t>& shape,
                      char kind, int bits, int device, bool versioned) {
  const uint8_t code = kind == 'f' ? kFloat : kind == 'u' ? kUInt : kInt;
  const DataType dtype{code, static_cast<uint8_t>(bits), 1};
  return versioned ? exported<ManagedVersioned>(std::move(owner), address, shape, dtype, device)
                   : exported<Managed>(std::move(owner), address, shape, dtype, device);
}

}  // namespace

void bind_dlpack(py::module_& m) {
  py::class_<Imported>(m, "Imported", py::module_local())
      .def(py::init<const py::capsule&>())
      .def_property_readonly("address", &Imported::address)
      .def_property_readonly("device", &Imported::device)
      .def_property_readonly("dtype", &Imported::dtype)
      .def_property_readonly("read_only", &Imported::read_only)
      .def_property_readonly("shape", &Imported::shape)
      .def_property_readonly("strides", &Imported::strides);
  m.def("to_dlpack", &to_dlpack, py::kw_only(), py::arg("owner"), py::arg("address"),
        py::arg("shape"), py::arg("kind"), py::arg("bits"), py::arg("device"),
        py::arg("versioned"));
}

}  // namespace pantiny_module
