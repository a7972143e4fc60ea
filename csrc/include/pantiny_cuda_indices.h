/* pantiny: quality indices of planes that lie in the memory of a GPU.
 *
 * The structs are those of pantiny.h: ptn_windows, its planes, pairs and their arrays are the
 * host's and may go when the call returns; the samples, `valid`, `memory` and all results are the
 * device's. `threads` is not looked at. Work is queued on the stream (a cudaStream_t; null: the
 * default one), nothing is allocated and nothing waited for. No result depends on the device, bit
 * for bit, where it has the same arithmetic.
 */
#ifndef PANTINY_CUDA_INDICES_H_
#define PANTINY_CUDA_INDICES_H_

#include "pantiny.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Images of one size in one run: the planes of image i begin i * plane_stride[p] samples behind
 * those of the first, its mask i * valid_stride bytes. Every image gets the bits it gets alone.
 * Null in place of it: one image. */
typedef struct ptn_cuda_images {
  int32_t images;              /* 1..65535 */
  const int64_t* plane_stride; /* [planes], the host's */
  int64_t valid_stride;        /* 0: one mask for all */
} ptn_cuda_images;

/* ptn_windows_run on a GPU: adds to `sums` [images][pairs] and `count` [images]. `memory` of at
 * least `bytes` bytes, aligned to 64. Sums over windows of integers are exact, the index of each is
 * then made in float, right to 2e-6. SSIM of all but float64 is float throughout. Everything else
 * is double. */
ptn_status ptn_cuda_windows_bytes(const ptn_windows* windows, const ptn_cuda_images* images,
                                  size_t* bytes);
ptn_status ptn_cuda_windows_run(const ptn_windows* windows, const ptn_cuda_images* images,
                                void* memory, size_t bytes, double* sums, int64_t* count,
                                void* stream);

/* ptn_moments_run on a GPU, the image mirrored at its bottom edge too: writes `moments`
 * [images][blocks][2 * planes + pairs] and `valid` [images][blocks] of ceil(rows / window) times
 * ceil(width / window) blocks. */
ptn_status ptn_cuda_moments_run(const ptn_windows* windows, const ptn_cuda_images* images,
                                double* moments, int64_t* valid, void* stream);

/* ptn_shrink_run on a GPU, of several planes and images. */
typedef struct ptn_cuda_shrink {
  int64_t rows, width;    /* of every plane; at most 2^31 - 1 */
  const ptn_plane* plane; /* [planes] */
  int32_t planes;         /* 1..PTN_MAX_PLANES */
  const uint8_t* valid;   /* [rows][width], may be null */
  int64_t valid_row_stride;
  int64_t first_row, first_col;
  int32_t step, taps;    /* step 1..64, taps 1..4096 */
  const double* weights; /* [planes][2][taps], the device's: down and along a row */
  int64_t out_rows, cols;
} ptn_cuda_shrink;

/* `out` [images][planes][out_rows][cols] of the device, written in double. */
ptn_status ptn_cuda_shrink_run(const ptn_cuda_shrink* shrink, const ptn_cuda_images* images,
                               double* out, void* stream);

/* `reached` [images][out_rows][cols] of the device: 1 where no weight of the first plane above 0
 * falls on a sample that is not valid and `among`, of the same layout, may be null, is not 0. */
ptn_status ptn_cuda_reach_run(const ptn_cuda_shrink* shrink, const ptn_cuda_images* images,
                              const uint8_t* among, uint8_t* reached, void* stream);

#ifdef __cplusplus
}
#endif
#endif /* PANTINY_CUDA_INDICES_H_ */
