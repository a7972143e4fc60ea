// The in-memory exchange format of DLPack: its structs as the specification lays them out.
#pragma once

#include <cstdint>

namespace pantiny {
namespace cuda {
namespace dlpack {

constexpr int32_t kCuda = 2, kCudaManaged = 13;  // device types
constexpr uint8_t kInt = 0, kUInt = 1, kFloat = 2, kBool = 6;
constexpr uint32_t kMajor = 1, kMinor = 0;  // of what is exported
constexpr uint64_t kReadOnly = 1;           // a flag of versioned tensors

struct Device {
  int32_t type, id;
};

struct DataType {
  uint8_t code, bits;
  uint16_t lanes;
};

struct Tensor {
  void* data;
  Device device;
  int32_t ndim;
  DataType dtype;
  int64_t *shape, *strides;  // in samples; null strides: packed, C order
  uint64_t byte_offset;
};

struct Managed {  // in a capsule "dltensor"
  Tensor tensor;
  void* context;
  void (*deleter)(Managed*);
  static constexpr const char *kName = "dltensor", *kUsed = "used_dltensor";
};

struct ManagedVersioned {  // in a capsule "dltensor_versioned"
  uint32_t major, minor;
  void* context;
  void (*deleter)(ManagedVersioned*);
  uint64_t flags;
  Tensor tensor;
  static constexpr const char *kName = "dltensor_versioned", *kUsed = "used_dltensor_versioned";
};

}  // namespace dlpack
}  // namespace cuda
}  // namespace pantiny
