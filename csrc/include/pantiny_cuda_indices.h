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

/* ptn_windows_run on a GPU: adds to `sums` [pairs] and `count` [1]. `memory` of at least `bytes`
 * bytes, aligned to 64. Sums over windows of integers are exact, the index of each is then made in
 * float, right to 2e-6. SSIM of all but float64 is float throughout. Everything else is double. */
ptn_status ptn_cuda_windows_bytes(const ptn_windows* windows, size_t* bytes);
ptn_status ptn_cuda_windows_run(const ptn_windows* windows, void* memory, size_t bytes,
                                double* sums, int64_t* count, void* stream);

/* ptn_moments_run on a GPU: writes `moments` [blocks][2 * planes + pairs] and `valid` [blocks]. It
 * needs no memory: 0 bytes, null. */
ptn_status ptn_cuda_moments_bytes(const ptn_windows* windows, size_t* bytes);
ptn_status ptn_cuda_moments_run(const ptn_windows* windows, void* memory, size_t bytes,
                                double* moments, int64_t* valid, void* stream);

#ifdef __cplusplus
}
#endif
#endif /* PANTINY_CUDA_INDICES_H_ */
