// The C interface: checks arguments and calls.
#include <cstring>
#include <new>

#include "csrc/cuda/memory.h"
#include "csrc/cuda/plan.h"
#include "kernels/masks/masks_cuda.h"
#include "kernels/scale/scale_cuda.h"

using namespace pantiny::cuda;

namespace {

bool dtype_ok(int32_t dtype) { return dtype >= PTN_U8 && dtype <= PTN_F32; }

bool bands_ok(const int32_t* bands, int count, int32_t least) {
  for (int k = 0; k < count; ++k)
    if (bands[k] < least) return false;
  return true;
}

bool images_ok(int32_t images, int32_t bands, int64_t ms_height, int64_t ms_width) {
  return images >= 1 && bands >= 1 && static_cast<int64_t>(images) * bands <= 65535 &&
         ms_height >= 1 && ms_height <= 65535 && ms_width >= 1 && ms_width <= (1 << 24);
}

Samples samples_of(const ptn_cuda_samples& s) {
  return {s.device_data, s.dtype, s.image_stride, s.band_stride, s.row_stride, s.col_stride};
}

Scene scene_of(int32_t images, int32_t bands, int64_t ms_height, int64_t ms_width,
               const ptn_cuda_samples& ms) {
  Scene s{};
  s.images = images;
  s.bands = bands;
  s.ms_height = static_cast<int>(ms_height);
  s.ms_width = static_cast<int>(ms_width);
  s.ms = samples_of(ms);
  return s;
}

}  // namespace

extern "C" {

const char* ptn_cuda_error(void) { return error_text(); }

#ifdef __CUDACC__

int32_t ptn_cuda_devices(void) {
  int count = 0;
  if (check(cudaGetDeviceCount(&count), "CUDA") != PTN_OK) return 0;
  if (count == 0) fail("CUDA", "no device");
  return count;
}

ptn_status ptn_cuda_device(int32_t device, char name[256], int32_t* capability,
                           int32_t* multiprocessors, int64_t* memory) {
  cudaDeviceProp p;
  PTN_TRY(check(cudaGetDeviceProperties(&p, device), "device"));
  std::strncpy(name, p.name, 255);
  name[255] = 0;
  *capability = p.major * 10 + p.minor;
  *multiprocessors = p.multiProcessorCount;
  *memory = static_cast<int64_t>(p.totalGlobalMem);
  return PTN_OK;
}

ptn_status ptn_cuda_use(int32_t device, int32_t* before) {
  if (before) PTN_TRY(check(cudaGetDevice(before), "device"));
  return check(cudaSetDevice(device), "device");
}

#else

int32_t ptn_cuda_devices(void) { return 1; }

ptn_status ptn_cuda_device(int32_t, char name[256], int32_t* capability, int32_t* multiprocessors,
                           int64_t* memory) {
  std::strcpy(name, "emulator");
  *capability = 0;
  *multiprocessors = 1;
  *memory = int64_t{1} << 32;
  return PTN_OK;
}

ptn_status ptn_cuda_use(int32_t device, int32_t* before) {
  if (before) *before = 0;
  return device == 0 ? PTN_OK : fail("device", "only 0");
}

#endif

ptn_status ptn_cuda_allocate(size_t bytes, void** memory) {
  return memory ? allocate(bytes, memory) : PTN_ERR_ARGUMENT;
}

void ptn_cuda_release(void* memory) {
  if (memory) release(memory);
}

ptn_status ptn_cuda_copy_in(void* to, const void* from, size_t bytes, void* stream) {
  return to && from ? copy_in(to, from, bytes, stream) : PTN_ERR_ARGUMENT;
}

ptn_status ptn_cuda_copy_out(void* to, const void* from, size_t bytes, void* stream) {
  return to && from ? copy_out(to, from, bytes, stream) : PTN_ERR_ARGUMENT;
}

ptn_status ptn_cuda_wait(void* stream) { return wait_for(stream); }

ptn_status ptn_cuda_model_bytes(const ptn_arch* arch, int32_t precision, size_t* bytes) {
  if (!arch || !bytes) return PTN_ERR_ARGUMENT;
  const Segments* segments = segments_of(precision);
  if (!segments || !arch_compiled(*arch)) return PTN_ERR_UNSUPPORTED;
  *bytes = model_bytes(*arch, *segments);
  return PTN_OK;
}

ptn_status ptn_cuda_model_create(const ptn_arch* arch, int32_t precision, const ptn_tensor* tensors,
                                 int32_t count, void* memory, size_t bytes,
                                 ptn_cuda_model** model) {
  if (!arch || !tensors || !memory || !model) return PTN_ERR_ARGUMENT;
  *model = nullptr;
  size_t need = 0;
  PTN_TRY(ptn_cuda_model_bytes(arch, precision, &need));
  if (bytes < need || reinterpret_cast<uintptr_t>(memory) % 64) return PTN_ERR_WORKSPACE;
  Tensors read;
  PTN_TRY(read_tensors(*arch, tensors, count, &read));
  auto* made = new (std::nothrow) ptn_cuda_model;
  if (!made) return PTN_ERR_WORKSPACE;
  const ptn_status status = model_place(*arch, *segments_of(precision), read, memory, made);
  if (status != PTN_OK) {
    delete made;
    return status;
  }
  *model = made;
  return PTN_OK;
}

void ptn_cuda_model_destroy(ptn_cuda_model* model) { delete model; }

ptn_status ptn_cuda_plan_bytes(const ptn_cuda_model* model, const ptn_cuda_scene* scene,
                               size_t* bytes) {
  if (!model || !scene || !bytes || !plan_supported(*model, *scene)) return PTN_ERR_ARGUMENT;
  *bytes = plan_bytes(*model, *scene);
  return PTN_OK;
}

ptn_status ptn_cuda_plan_create(const ptn_cuda_model* model, const ptn_cuda_scene* scene,
                                void* memory, size_t bytes, ptn_cuda_plan** plan) {
  if (!memory || !plan) return PTN_ERR_ARGUMENT;
  *plan = nullptr;
  size_t need = 0;
  PTN_TRY(ptn_cuda_plan_bytes(model, scene, &need));
  if (bytes < need || reinterpret_cast<uintptr_t>(memory) % 64) return PTN_ERR_WORKSPACE;
  auto* made = new (std::nothrow) ptn_cuda_plan;
  if (!made) return PTN_ERR_WORKSPACE;
  const ptn_status status = plan_place(*model, *scene, memory, made);
  if (status != PTN_OK) {
    delete made;
    return status;
  }
  *plan = made;
  return PTN_OK;
}

void ptn_cuda_plan_destroy(ptn_cuda_plan* plan) { delete plan; }

ptn_status ptn_cuda_plan_run(ptn_cuda_plan* plan, const ptn_cuda_input* in,
                             const ptn_cuda_output* out, void* stream) {
  if (!plan || !in || !out || !in->ms.device_data || !in->pan.device_data || !out->device_fused ||
      !in->device_dn_per_unit)
    return PTN_ERR_ARGUMENT;
  const int bands = plan->model->network.arch.bands;
  if (!dtype_ok(in->ms.dtype) || !dtype_ok(in->pan.dtype) || !dtype_ok(out->dtype) ||
      !bands_ok(in->ms_bands, bands, 0) || !bands_ok(out->bands, bands, -1))
    return PTN_ERR_ARGUMENT;
  return plan_run(*plan, *in, *out, stream);
}

ptn_status ptn_cuda_masks_run(const ptn_cuda_masks* m, void* stream) {
  if (!m || !m->ms.device_data || !m->pan.device_data || !m->device_ms_valid || !m->device_valid ||
      !m->device_found || !images_ok(m->images, m->bands, m->ms_height, m->ms_width) ||
      m->ratio < 1 || m->ratio > 64 || !dtype_ok(m->ms.dtype) || !dtype_ok(m->pan.dtype))
    return PTN_ERR_ARGUMENT;
  Masks masks{};
  Scene& s = masks.scene;
  s = scene_of(m->images, m->bands, m->ms_height, m->ms_width, m->ms);
  s.height = s.ms_height * m->ratio;
  s.width = s.ms_width * m->ratio;
  s.pan = samples_of(m->pan);
  s.valid = {m->valid.device_data, m->valid.image_stride, m->valid.row_stride};
  s.ms_valid = {m->ms_valid.device_data, m->ms_valid.image_stride, m->ms_valid.row_stride};
  masks.ratio = m->ratio;
  masks.has_nodata = m->has_nodata;
  masks.nodata = m->nodata;
  masks.ms_valid = m->device_ms_valid;
  masks.valid = m->device_valid;
  masks.found = m->device_found;
  PTN_TRY(fill_zero(masks.found, static_cast<size_t>(m->images) * 3 * sizeof(uint32_t), stream));
  return masks_cuda(masks, stream);
}

size_t ptn_cuda_scale_bytes(int32_t images) { return images > 0 ? scale_scratch_bytes(images) : 0; }

ptn_status ptn_cuda_scale(int32_t images, int32_t bands, const int32_t* ms_bands, int64_t ms_height,
                          int64_t ms_width, const ptn_cuda_samples* ms,
                          const ptn_cuda_mask* ms_valid, void* scratch, double* dn_per_unit,
                          void* stream) {
  if (!ms_bands || !ms || !ms->device_data || !scratch || !dn_per_unit || bands > PTN_MAX_BANDS ||
      !images_ok(images, bands, ms_height, ms_width) || !dtype_ok(ms->dtype) ||
      !bands_ok(ms_bands, bands, 0))
    return PTN_ERR_ARGUMENT;
  Scale scale{};
  Scene& s = scale.scene;
  s = scene_of(images, bands, ms_height, ms_width, *ms);
  for (int k = 0; k < bands; ++k) s.ms_bands[k] = ms_bands[k];
  if (ms_valid) s.ms_valid = {ms_valid->device_data, ms_valid->image_stride, ms_valid->row_stride};
  scale.scratch = scratch;
  scale.dn_per_unit = dn_per_unit;
  return scale_cuda(scale, stream);
}

}  // extern "C"
