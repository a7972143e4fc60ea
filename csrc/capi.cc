// The C interface: checks arguments, then calls the core.
#include <cstdint>

#include "csrc/cpu_table.h"
#include "csrc/plan.h"

using pantiny::kAlign;

namespace {

bool aligned(const void* p) { return reinterpret_cast<uintptr_t>(p) % kAlign == 0; }

bool dtype_ok(int32_t d) { return d >= PTN_U8 && d <= PTN_F32; }

bool input_ok(const ptn_plan& plan, const ptn_input& in) {
  if (!in.ms || !in.pan || !dtype_ok(in.ms_dtype) || !dtype_ok(in.pan_dtype)) return false;
  if (in.ms_first < 0 || in.pan_first < 0) return false;
  // differences: a sum could overflow
  return in.ms_rows <= plan.scene.ms_height - in.ms_first &&
         in.pan_rows <= plan.scene.height - in.pan_first;
}

bool output_ok(const ptn_output& out) {
  constexpr double kLow[] = {0, 0, -32768}, kHigh[] = {255, 65535, 32767};
  // so that NaN fails
  if (!out.fused || !dtype_ok(out.dtype) || !(out.low <= out.high)) return false;
  if (out.dtype == PTN_F32) return true;
  const double low = kLow[out.dtype], high = kHigh[out.dtype];
  return out.low >= low && out.high <= high && out.fill >= low && out.fill <= high;
}

bool rows_held(const ptn_input& in, const ptn_rows& need) {
  return in.pan_first <= need.pan_first && in.pan_first + in.pan_rows >= need.pan_last &&
         in.ms_first <= need.ms_first && in.ms_first + in.ms_rows >= need.ms_last;
}

bool band_ok(const ptn_plan& plan, int32_t pass, int64_t y0, int64_t y1) {
  return pass >= 0 && pass < ptn_model_passes(plan.model) && y0 >= 0 && y1 > y0 &&
         y1 <= plan.scene.height && y0 % PTN_BLOCK == 0 &&
         (y1 % PTN_BLOCK == 0 || y1 == plan.scene.height) && y1 - y0 <= plan.scene.band_rows;
}

}  // namespace

extern "C" {

int ptn_abi_version(void) { return PTN_ABI_VERSION; }

const char* ptn_isa_usable(void) { return pantiny::cpu_usable(); }

const char* ptn_isa(void) { return pantiny::cpu_table().name; }

ptn_status ptn_isa_choose(const char* name) {
  return pantiny::cpu_choose(name) ? PTN_OK : PTN_ERR_ISA;
}

int ptn_bf16_usable(void) { return pantiny::cpu_bf16() ? 1 : 0; }

ptn_status ptn_model_bytes(const ptn_arch* arch, size_t* bytes) {
  if (!arch || !bytes) return PTN_ERR_ARGUMENT;
  if (!pantiny::arch_supported(*arch)) return PTN_ERR_UNSUPPORTED;
  *bytes = pantiny::model_bytes(*arch);
  return PTN_OK;
}

ptn_status ptn_model_create(const ptn_arch* arch, const ptn_tensor* tensors, int32_t count,
                            void* memory, size_t bytes, ptn_model** model) {
  if (!arch || !tensors || count < 0 || !memory || !model) return PTN_ERR_ARGUMENT;
  for (int32_t i = 0; i < count; ++i)
    if (!tensors[i].name) return PTN_ERR_ARGUMENT;
  if (!pantiny::arch_supported(*arch)) return PTN_ERR_UNSUPPORTED;
  if (bytes < pantiny::model_bytes(*arch) || !aligned(memory)) return PTN_ERR_WORKSPACE;
  return pantiny::model_fill(*arch, tensors, count, memory, model);
}

int32_t ptn_model_passes(const ptn_model* model) {
  return model ? model->weights.blocks_total() + 1 : 0;
}

ptn_status ptn_plan_bytes(const ptn_model* model, const ptn_scene* scene, size_t* bytes) {
  if (!model || !scene || !bytes) return PTN_ERR_ARGUMENT;
  if (!pantiny::scene_supported(*model, *scene)) return PTN_ERR_ARGUMENT;
  if (scene->precision == PTN_BF16 && !pantiny::cpu_bf16()) return PTN_ERR_ISA;
  *bytes = pantiny::plan_bytes(*model, *scene);
  return PTN_OK;
}

ptn_status ptn_plan_create(const ptn_model* model, const ptn_scene* scene, void* memory,
                           size_t bytes, ptn_plan** plan) {
  size_t need = 0;
  const ptn_status status = ptn_plan_bytes(model, scene, &need);
  if (status != PTN_OK) return status;
  if (!memory || !plan) return PTN_ERR_ARGUMENT;
  if (bytes < need || !aligned(memory)) return PTN_ERR_WORKSPACE;
  *plan = pantiny::plan_place(*model, *scene, memory);
  return PTN_OK;
}

ptn_status ptn_plan_input_rows(const ptn_plan* plan, int32_t pass, int64_t y0, int64_t y1,
                               ptn_rows* rows) {
  if (!plan || !rows || !band_ok(*plan, pass, y0, y1)) return PTN_ERR_ARGUMENT;
  *rows = pantiny::plan_rows(*plan, pass, y0, y1);
  return PTN_OK;
}

ptn_status ptn_plan_run(ptn_plan* plan, int32_t pass, int64_t y0, int64_t y1,
                        const ptn_input* input, const ptn_output* output) {
  if (!plan || !input || !band_ok(*plan, pass, y0, y1)) return PTN_ERR_ARGUMENT;
  if (plan->scene.precision == PTN_BF16 && !pantiny::cpu_bf16()) return PTN_ERR_ISA;
  if (pass != plan->pass || y0 != plan->next_row) return PTN_ERR_ORDER;
  if (!input_ok(*plan, *input)) return PTN_ERR_ARGUMENT;
  if (!rows_held(*input, pantiny::plan_rows(*plan, pass, y0, y1))) return PTN_ERR_ROWS;
  if (pass + 1 == ptn_model_passes(plan->model) && (!output || !output_ok(*output)))
    return PTN_ERR_ARGUMENT;
  pantiny::plan_run(*plan, pass, y0, y1, *input, output);
  return PTN_OK;
}

}  // extern "C"
