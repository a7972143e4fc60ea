// Binding of devices, memory and streams.
#include <string>

#include "csrc/cuda/module.h"

namespace pantiny_module {

namespace {

// Host memory that copies need not wait for.
class Pinned {
 public:
  explicit Pinned(size_t bytes) : bytes_(bytes) {
    check(ptn_cuda_allocate_pinned(bytes, &memory_));
  }
  Pinned(const Pinned&) = delete;
  Pinned& operator=(const Pinned&) = delete;
  ~Pinned() { ptn_cuda_release_pinned(memory_); }
  py::buffer_info buffer() const {
    return {memory_, 1, py::format_descriptor<uint8_t>::format(), static_cast<py::ssize_t>(bytes_)};
  }

 private:
  void* memory_ = nullptr;
  size_t bytes_;
};

class Stream {
 public:
  Stream() { check(ptn_cuda_stream_create(&stream_)); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() { ptn_cuda_stream_destroy(stream_); }
  uintptr_t handle() const { return address_of(stream_); }

 private:
  void* stream_ = nullptr;
};

class Event {
 public:
  Event() { check(ptn_cuda_event_create(&event_)); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event() { ptn_cuda_event_destroy(event_); }
  void record(uintptr_t stream) { check(ptn_cuda_event_record(event_, pointer(stream))); }
  void wait_in(uintptr_t stream) { check(ptn_cuda_event_wait_in(event_, pointer(stream))); }
  void wait() {
    py::gil_scoped_release release;
    check(ptn_cuda_event_wait(event_));
  }

 private:
  void* event_ = nullptr;
};

size_t bytes_of(const py::array& a, const char* what) {
  if (!(a.flags() & py::array::c_style))
    throw py::value_error(std::string(what) + ": need a C-contiguous array");
  return static_cast<size_t>(a.nbytes());
}

void copy_in(uintptr_t to, const py::array& from, uintptr_t stream) {
  const size_t bytes = bytes_of(from, "copy_in");
  py::gil_scoped_release release;
  check(ptn_cuda_copy_in(pointer(to), from.data(), bytes, pointer(stream)));
}

void copy_out(py::array to, uintptr_t from, uintptr_t stream) {
  void* const data = to.mutable_data();
  const size_t bytes = bytes_of(to, "copy_out");
  py::gil_scoped_release release;
  check(ptn_cuda_copy_out(data, pointer(from), bytes, pointer(stream)));
}

void copy_out_later(py::array to, uintptr_t from, uintptr_t stream) {
  void* const data = to.mutable_data();
  check(ptn_cuda_copy_out_later(data, pointer(from), bytes_of(to, "copy_out_later"),
                                pointer(stream)));
}

py::list devices() {
  py::list out;
  for (int i = 0, n = ptn_cuda_devices(); i < n; ++i) {
    char name[256];
    int32_t capability = 0, multiprocessors = 0;
    int64_t memory = 0;
    check(ptn_cuda_device(i, name, &capability, &multiprocessors, &memory));
    out.append(py::make_tuple(std::string(name), capability, multiprocessors, memory));
  }
  return out;
}

int use(int device) {
  int32_t before = 0;
  check(ptn_cuda_use(device, &before));
  return before;
}

size_t free_memory() {
  size_t bytes = 0;
  check(ptn_cuda_free_memory(&bytes));
  return bytes;
}

}  // namespace

void bind_devices(py::module_& m) {
  m.def("devices", &devices);
  m.def("error", [] { return std::string(ptn_cuda_error()); });
  m.def("use", &use);
  m.def("free_memory", &free_memory);
  m.def("wait", [](uintptr_t stream) {
    py::gil_scoped_release release;
    check(ptn_cuda_wait(pointer(stream)));
  });
  m.def("copy_in", &copy_in, py::arg("to"), py::arg("array"), py::arg("stream") = 0);
  m.def("copy_out", &copy_out, py::arg("array"), py::arg("address"), py::arg("stream") = 0);
  m.def("copy_out_later", &copy_out_later, py::arg("array"), py::arg("address"),
        py::arg("stream") = 0);
  py::class_<Memory, std::shared_ptr<Memory>>(m, "Memory", py::module_local())
      .def(py::init<size_t>())
      .def_property_readonly("address", &Memory::address)
      .def_property_readonly("bytes", &Memory::bytes)
      .def(
          "copy_in",
          [](const Memory& self, const py::array& array, uintptr_t stream) {
            if (bytes_of(array, "copy_in") > self.bytes())
              throw py::value_error("need an array no larger than the memory");
            copy_in(self.address(), array, stream);
          },
          py::arg("array"), py::arg("stream") = 0)
      .def(
          "copy_out",
          [](const Memory& self, const py::array& array, uintptr_t stream) {
            if (bytes_of(array, "copy_out") > self.bytes())
              throw py::value_error("need an array no larger than the memory");
            copy_out(array, self.address(), stream);
          },
          py::arg("array"), py::arg("stream") = 0);
  py::class_<Pinned>(m, "Pinned", py::buffer_protocol(), py::module_local())
      .def(py::init<size_t>())
      .def_buffer(&Pinned::buffer);
  py::class_<Stream>(m, "Stream", py::module_local())
      .def(py::init<>())
      .def_property_readonly("handle", &Stream::handle);
  py::class_<Event>(m, "Event", py::module_local())
      .def(py::init<>())
      .def("record", &Event::record)
      .def("wait_in", &Event::wait_in)
      .def("wait", &Event::wait);
}

}  // namespace pantiny_module
