/* pantiny on CUDA: the C interface. Pointers named device_ are the device's.
 *
 * Work is put on the caller's stream (a cudaStream_t as a pointer; null: the default one) of the
 * current device; no function waits for it, none allocates device memory. Kernels of a plan use
 * its memory: run a plan on one stream at a time. ptn_cuda_plan_run may be captured in a graph; of
 * small images (2^20 pixels in all) it makes one itself when input and output repeat.
 *
 *     ptn_cuda_model_create -> ptn_cuda_plan_bytes -> ptn_cuda_plan_create -> ptn_cuda_plan_run ...
 */
#ifndef PANTINY_CUDA_H_
#define PANTINY_CUDA_H_

#include "pantiny.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum ptn_cuda_precision {
  PTN_CUDA_FP32 = 0, /* all arithmetic in float */
  PTN_CUDA_FP16 = 1, /* features and operands of products in half, sums in float */
  PTN_CUDA_BF16 = 2  /* the same in bfloat16 */
} ptn_cuda_precision;

typedef struct ptn_cuda_model ptn_cuda_model;
typedef struct ptn_cuda_plan ptn_cuda_plan;

/* Images of one size that are fused together; grids as in ptn_scene. Of a plan, and of a band with
 * its margin: at most 2^30 PAN pixels an image, 524280 PAN rows and 65535 MS rows. */
typedef struct ptn_cuda_scene {
  int32_t images;              /* 1..4096 */
  int64_t height, width;       /* PAN grid */
  int64_t ms_height, ms_width; /* MS grid */
  double scale_y, offset_y, scale_x, offset_x;
  int32_t consistency;
  double gains[PTN_MAX_BANDS];
} ptn_cuda_scene;

/* Samples in DN on the device; strides count elements. */
typedef struct ptn_cuda_samples {
  const void* device_data;
  int32_t dtype; /* ptn_dtype, not PTN_F64 */
  int64_t image_stride, band_stride, row_stride, col_stride;
} ptn_cuda_samples;

/* 1 where a pixel exists; null: everywhere. */
typedef struct ptn_cuda_mask {
  const uint8_t* device_data;
  int64_t image_stride, row_stride;
} ptn_cuda_mask;

typedef struct ptn_cuda_input {
  ptn_cuda_samples ms, pan; /* pan: band_stride is not read */
  int32_t ms_bands[PTN_MAX_BANDS];
  ptn_cuda_mask valid, ms_valid;
  const double* device_dn_per_unit; /* [images]: DN per network value */
} ptn_cuda_input;

/* As ptn_output. */
typedef struct ptn_cuda_output {
  void* device_fused;
  int32_t dtype;
  int64_t image_stride, band_stride, row_stride, col_stride;
  int32_t bands[PTN_MAX_BANDS]; /* band to write each to, -1: nowhere */
  double low, high, fill;
  int32_t reserve_fill;
} ptn_cuda_output;

/* Of the last call of this thread that returned PTN_ERR_CUDA. */
const char* ptn_cuda_error(void);

/* Devices that can run kernels here: 0 and a reason in ptn_cuda_error() if there is none. */
int32_t ptn_cuda_devices(void);
/* Name, compute capability (90 for 9.0), multiprocessors, bytes of memory. */
ptn_status ptn_cuda_device(int32_t device, char name[256], int32_t* capability,
                           int32_t* multiprocessors, int64_t* memory);
/* Makes a device this thread's current one; the one before is stored unless `before` is null. */
ptn_status ptn_cuda_use(int32_t device, int32_t* before);
/* Of the current device. */
ptn_status ptn_cuda_free_memory(size_t* bytes);

/* Memory, copies, streams and events, for callers without a CUDA library of their own. Copies from
 * or to pinned memory (and only these) are under way when the call returns; copy_out waits. */
ptn_status ptn_cuda_allocate(size_t bytes, void** device_memory);
void ptn_cuda_release(void* device_memory);
ptn_status ptn_cuda_allocate_pinned(size_t bytes, void** memory);
void ptn_cuda_release_pinned(void* memory);
ptn_status ptn_cuda_copy_in(void* device_to, const void* from, size_t bytes, void* stream);
ptn_status ptn_cuda_copy_out(void* to, const void* device_from, size_t bytes, void* stream);
ptn_status ptn_cuda_copy_out_later(void* to, const void* device_from, size_t bytes, void* stream);
ptn_status ptn_cuda_wait(void* stream);
/* A stream of the current device that waits for no other. */
ptn_status ptn_cuda_stream_create(void** stream);
void ptn_cuda_stream_destroy(void* stream);
ptn_status ptn_cuda_event_create(void** event);
void ptn_cuda_event_destroy(void* event);
ptn_status ptn_cuda_event_record(void* event, void* stream);
/* What is put on the stream later waits for the event. */
ptn_status ptn_cuda_event_wait_in(void* event, void* stream);
ptn_status ptn_cuda_event_wait(void* event);

/* Packed weights on the device. `device_memory` outlives the model; the copy is done when the
 * call returns. */
ptn_status ptn_cuda_model_bytes(const ptn_arch* arch, int32_t precision, size_t* bytes);
ptn_status ptn_cuda_model_create(const ptn_arch* arch, int32_t precision, const ptn_tensor* tensors,
                                 int32_t count, void* device_memory, size_t bytes,
                                 ptn_cuda_model** model);
void ptn_cuda_model_destroy(ptn_cuda_model* model);

ptn_status ptn_cuda_plan_bytes(const ptn_cuda_model* model, const ptn_cuda_scene* scene,
                               size_t* bytes);
/* Tables are copied to `device_memory` before the call returns. */
ptn_status ptn_cuda_plan_create(const ptn_cuda_model* model, const ptn_cuda_scene* scene,
                                void* device_memory, size_t bytes, ptn_cuda_plan** plan);
void ptn_cuda_plan_destroy(ptn_cuda_plan* plan);
ptn_status ptn_cuda_plan_run(ptn_cuda_plan* plan, const ptn_cuda_input* input,
                             const ptn_cuda_output* output, void* stream);
/* Graphs that it holds. */
int32_t ptn_cuda_plan_graphs(const ptn_cuda_plan* plan);

/* A scene of any size in bands of its rows, with the bits that a plan would give, if it could. Each
 * pass goes over all rows, from the top; ptn_cuda_scan_fold() ends it, but for the last pass,
 * number ptn_cuda_passes() - 1, which writes the result.
 *
 * Devices share a scene: each runs the passes over rows of its own, and between a pass and its
 * fold gets the sums of the others. */
typedef struct ptn_cuda_scan ptn_cuda_scan;

typedef struct ptn_cuda_bands {
  int64_t rows;        /* of the largest band */
  int32_t keep;        /* features of the rows stay on the device between passes, else each pass
                        * computes them anew from the pair */
  int64_t first, last; /* the rows that are kept; bands lie in them. Where they end inside the
                        * scene, features next to the end are wrong, further in in every pass:
                        * keep ptn_cuda_scan_margin() rows more than wanted */
} ptn_cuda_bands;

int32_t ptn_cuda_passes(const ptn_cuda_model* model);
/* Bands start at multiples of it, and end there or at the last row. */
int64_t ptn_cuda_scan_step(const ptn_cuda_model* model, const ptn_cuda_scene* scene);
/* A multiple of the step. */
int64_t ptn_cuda_scan_margin(const ptn_cuda_model* model, const ptn_cuda_scene* scene);
ptn_status ptn_cuda_scan_bytes(const ptn_cuda_model* model, const ptn_cuda_scene* scene,
                               const ptn_cuda_bands* bands, size_t* bytes);
ptn_status ptn_cuda_scan_create(const ptn_cuda_model* model, const ptn_cuda_scene* scene,
                                const ptn_cuda_bands* bands, void* device_memory, size_t bytes,
                                ptn_cuda_scan** scan);
void ptn_cuda_scan_destroy(ptn_cuda_scan* scan);
/* PAN rows [pan_first, pan_last) that rows [y0, y1) of a pass need; MS rows are all of them. */
ptn_status ptn_cuda_scan_rows(const ptn_cuda_scan* scan, int32_t pass, int64_t y0, int64_t y1,
                              ptn_rows* rows);
/* `input`: all of MS, and PAN and its mask from row `pan_first` on. `output` is read in the last
 * pass only; its first row is y0. */
ptn_status ptn_cuda_scan_run(ptn_cuda_scan* scan, int32_t pass, int64_t y0, int64_t y1,
                             const ptn_cuda_input* input, int64_t pan_first,
                             const ptn_cuda_output* output, void* stream);
/* The sums of rows [y0, y1), on the device, `count` of them. */
ptn_status ptn_cuda_scan_sums(const ptn_cuda_scan* scan, int32_t pass, int64_t y0, int64_t y1,
                              double** device_sums, int64_t* count);
ptn_status ptn_cuda_scan_fold(ptn_cuda_scan* scan, int32_t pass, void* stream);

/* Which pixels exist, from nodata and masks of the caller (pointers may be null): an MS pixel none
 * of whose bands is nodata; a PAN pixel that is not and lies on an MS pixel that exists.
 * device_ms_valid [images][ms_height][ms_width], device_valid [images][height][width].
 * device_found [images][3]: PAN pixels that exist; values among the MS samples that exist that
 * are not finite; the same of PAN. */
typedef struct ptn_cuda_masks {
  int32_t images, bands, ratio;
  int64_t ms_height, ms_width; /* PAN is ratio times as large */
  ptn_cuda_samples ms, pan;
  ptn_cuda_mask ms_valid, valid;
  int32_t has_nodata;
  double nodata;
  uint8_t *device_ms_valid, *device_valid;
  uint32_t* device_found;
} ptn_cuda_masks;
ptn_status ptn_cuda_masks_run(const ptn_cuda_masks* masks, void* stream);

/* dn_per_unit of the scene contract: twice the 99th percentile of the MS samples that exist (1
 * where it is not positive), an order statistic, exact. Scratch: ptn_cuda_scale_bytes(). */
size_t ptn_cuda_scale_bytes(int32_t images);
ptn_status ptn_cuda_scale(int32_t images, int32_t bands, const int32_t* ms_bands, int64_t ms_height,
                          int64_t ms_width, const ptn_cuda_samples* ms,
                          const ptn_cuda_mask* ms_valid, void* device_scratch,
                          double* device_dn_per_unit, void* stream);

#ifdef __cplusplus
}
#endif
#endif /* PANTINY_CUDA_H_ */
