// pybind11 binding of the CUDA interface: converts and calls. Compiled once against the CUDA
// kernels (PTN_CUDA_MODULE = _cuda) and once against their emulation (_cuda_emulated).
#include "csrc/cuda/module.h"

PYBIND11_MODULE(PTN_CUDA_MODULE, m) {
  // classes are module_local: a process may hold both modules
  m.doc() = "The CUDA core; use pantiny.fuse instead.";
  m.attr("FP32") = static_cast<int>(PTN_CUDA_FP32);
  m.attr("FP16") = static_cast<int>(PTN_CUDA_FP16);
  m.attr("BF16") = static_cast<int>(PTN_CUDA_BF16);
#ifdef PTN_CUDA_ARCHITECTURES
  m.attr("ARCHITECTURES") = PTN_CUDA_ARCHITECTURES;
#else
  m.attr("ARCHITECTURES") = "emulated";
#endif
  pybind11::register_local_exception<pantiny_module::Error>(m, "Error", PyExc_RuntimeError);
  pantiny_module::bind_devices(m);
  pantiny_module::bind_dlpack(m);
  pantiny_module::bind_indices(m);
  pantiny_module::bind_network(m);
}
