// The C interface: checks arguments and calls.
#include <cstring>
#include <new>

#include "csrc/cuda/memory.h"
#include "csrc/cuda/plan.h"
#include "csrc/cuda/scan.h"
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

bool input_ok(const ptn_cuda_input* in, int bands) {
  return in && in->ms.device_data && in->pan.device_data && in->device_dn_per_unit &&
         dtype_ok(in->ms.dtype) && dtype_ok(in->pan.dtype) && bands_ok(in->ms_bands, bands, 0);
}

bool output_ok(const ptn_cuda_output* out, int bands) {
  return out && out->device_fused && dtype_ok(out->dtype) && bands_ok(out->bands, bands, -1);
}

// A host object for memory of so many bytes; `place` fills it.
template <class T, class Place>
ptn_status create(void* memory, size_t bytes, size_t need, T** out, Place&& place) {
  if (bytes < need || reinterpret_cast<uintptr_t>(memory) % 64) return PTN_ERR_WORKSPACE;
  auto* made = new (std::nothrow) T;
  if (!made) return PTN_ERR_WORKSPACE;
  const ptn_status status = place(made);
  if (status != PTN_OK) {
    delete made;
    return status;
  }
  *out = made;
  return PTN_OK;
}

Scene scene_of(int32_t images, int32_t bands, int64_t ms_height, int64_t ms_width,
               const ptn_cuda_samples& ms) {
  Scene s{};
  s.images = images;
  s.bands = bands;
  s.ms_height = static_cast<int>(ms_height);
  s.ms_width = static_cast<int>(ms_width);
  s.ms = samples_of(ms);
  return whole(s);
}

}  // namespace

extern "C" {

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
  Tensors read;
  PTN_TRY(read_tensors(*arch, tensors, count, &read));
  return create(memory, bytes, need, model, [&](ptn_cuda_model* made) {
    return model_place(*arch, *segments_of(precision), read, memory, made);
  });
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
  return create(memory, bytes, need, plan,
                [&](ptn_cuda_plan* made) { return plan_place(*model, *scene, memory, made); });
}

void ptn_cuda_plan_destroy(ptn_cuda_plan* plan) { delete plan; }

ptn_status ptn_cuda_plan_run(ptn_cuda_plan* plan, const ptn_cuda_input* in,
                             const ptn_cuda_output* out, void* stream) {
  if (!plan) return PTN_ERR_ARGUMENT;
  const int bands = plan->model->network.arch.bands;
  if (!input_ok(in, bands) || !output_ok(out, bands)) return PTN_ERR_ARGUMENT;
  return plan_run(*plan, *in, *out, stream);
}

int32_t ptn_cuda_plan_graphs(const ptn_cuda_plan* plan) { return plan ? plan->graphs.count() : 0; }

int32_t ptn_cuda_passes(const ptn_cuda_model* model) { return model ? blocks_of(*model) + 1 : 0; }

int64_t ptn_cuda_scan_step(const ptn_cuda_model* model, const ptn_cuda_scene* scene) {
  return model && scene && geometry_supported(*model, *scene) ? scan_step(*model, *scene) : 0;
}

int64_t ptn_cuda_scan_margin(const ptn_cuda_model* model, const ptn_cuda_scene* scene) {
  return model && scene && geometry_supported(*model, *scene) ? scan_margin(*model, *scene) : 0;
}

ptn_status ptn_cuda_scan_bytes(const ptn_cuda_model* model, const ptn_cuda_scene* scene,
                               const ptn_cuda_bands* bands, size_t* bytes) {
  if (!model || !scene || !bands || !bytes || !scan_supported(*model, *scene, *bands))
    return PTN_ERR_ARGUMENT;
  *bytes = scan_bytes(*model, *scene, *bands);
  return PTN_OK;
}

ptn_status ptn_cuda_scan_create(const ptn_cuda_model* model, const ptn_cuda_scene* scene,
                                const ptn_cuda_bands* bands, void* memory, size_t bytes,
                                ptn_cuda_scan** scan) {
  if (!memory || !scan) return PTN_ERR_ARGUMENT;
  *scan = nullptr;
  size_t need = 0;
  PTN_TRY(ptn_cuda_scan_bytes(model, scene, bands, &need));
  return create(memory, bytes, need, scan, [&](ptn_cuda_scan* made) {
    return scan_place(*model, *scene, *bands, memory, made);
  });
}

void ptn_cuda_scan_destroy(ptn_cuda_scan* scan) { delete scan; }

ptn_status ptn_cuda_scan_rows(const ptn_cuda_scan* scan, int32_t pass, int64_t y0, int64_t y1,
                              ptn_rows* rows) {
  if (!scan || !rows || !scan_band_ok(*scan, pass, y0, y1)) return PTN_ERR_ARGUMENT;
  *rows = {0, 0, 0, scan->scene.ms_height};
  scan_rows(*scan, pass, y0, y1, &rows->pan_first, &rows->pan_last);
  return PTN_OK;
}

ptn_status ptn_cuda_scan_run(ptn_cuda_scan* scan, int32_t pass, int64_t y0, int64_t y1,
                             const ptn_cuda_input* in, int64_t pan_first,
                             const ptn_cuda_output* out, void* stream) {
  if (!scan || !scan_band_ok(*scan, pass, y0, y1)) return PTN_ERR_ARGUMENT;
  const int bands = scan->model->network.arch.bands;
  const bool last = pass == blocks_of(*scan->model);
  if (!input_ok(in, bands) || (last && !output_ok(out, bands))) return PTN_ERR_ARGUMENT;
  return scan_run(*scan, pass, y0, y1, *in, pan_first, out, stream);
}

ptn_status ptn_cuda_scan_sums(const ptn_cuda_scan* scan, int32_t pass, int64_t y0, int64_t y1,
                              double** sums, int64_t* count) {
  if (!scan || !sums || !count || pass >= blocks_of(*scan->model) ||
      y0 % scan_step(*scan->model, scan->scene) || y0 < 0 || y0 >= y1 || y1 > scan->scene.height ||
      pass < 0)
    return PTN_ERR_ARGUMENT;
  scan_sums(*scan, pass, y0, y1, sums, count);
  return PTN_OK;
}

ptn_status ptn_cuda_scan_fold(ptn_cuda_scan* scan, int32_t pass, void* stream) {
  if (!scan || pass < 0 || pass >= blocks_of(*scan->model)) return PTN_ERR_ARGUMENT;
  return scan_fold(*scan, pass, stream);
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
