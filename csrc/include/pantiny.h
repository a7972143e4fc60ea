/* pantiny: the C interface, the only door to the core.
 *
 * No function allocates, opens a file, prints, throws or starts a thread unless
 * `threads` asks for one. All memory is the caller's: ask for a size, hand over a
 * block of at least that size, aligned to 64 bytes. Every function returns a status.
 *
 * A scene is fused in passes: one per transformer block plus one. Each pass visits the
 * rows of the PAN grid from top to bottom in bands; the passes before the last gather
 * the attention statistics, the last writes the fused rows. The result does not depend
 * on the band height, the tile size or the number of threads, bit for bit.
 *
 *     ptn_plan_bytes -> ptn_plan_create -> for pass: for band: ptn_plan_input_rows,
 *     read those rows, ptn_plan_run
 */
#ifndef PANTINY_H_
#define PANTINY_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PTN_ABI_VERSION 1
#define PTN_MAX_BANDS 8 /* bands of one network */
#define PTN_BLOCK 64    /* rows and columns of tiles and bands are multiples of it */
#define PTN_COLUMNS 192 /* columns of tiles are rounded up to a multiple of it */

typedef enum ptn_status {
  PTN_OK = 0,
  PTN_ERR_ARGUMENT = 1,    /* a null pointer or a number out of range */
  PTN_ERR_SHAPE = 2,       /* a tensor is missing or has the wrong shape */
  PTN_ERR_WORKSPACE = 3,   /* the memory block is too small or not aligned to 64 bytes */
  PTN_ERR_ORDER = 4,       /* passes or bands out of order */
  PTN_ERR_ROWS = 5,        /* the input does not hold the rows asked for */
  PTN_ERR_UNSUPPORTED = 6, /* an architecture this core cannot run */
  PTN_ERR_ISA = 7,         /* the instruction set asked for cannot run here */
  PTN_ERR_CUDA = 8         /* a CUDA call failed; see ptn_cuda_error() of pantiny_cuda.h */
} ptn_status;

/* PTN_F64: planes of quality indices only. */
typedef enum ptn_dtype { PTN_U8 = 0, PTN_U16 = 1, PTN_I16 = 2, PTN_F32 = 3, PTN_F64 = 4 } ptn_dtype;

typedef enum ptn_fusion {
  PTN_FUSION_CONV1X1 = 0,
  PTN_FUSION_GATED_CONV = 1,
  PTN_FUSION_ENHANCED_CONV = 2
} ptn_fusion;

typedef enum ptn_storage {
  PTN_KEEP = 0,     /* keep the features of the whole scene between passes, in place */
  PTN_RECOMPUTE = 1 /* recompute them from the input in every pass: 3 times the work, no storage */
} ptn_storage;

typedef enum ptn_precision {
  PTN_FP32 = 0,
  PTN_BF16 = 1 /* operands of the 1x1 and 3x3 products in bfloat16, sums and all else fp32 */
} ptn_precision;

/* Sizes of the network. */
typedef struct ptn_arch {
  int32_t bands;          /* K, 1..PTN_MAX_BANDS */
  int32_t channels;       /* C, even, a multiple of heads, at most 64 */
  int32_t heads;          /* at least 2 */
  int32_t encoder_blocks; /* at least 1 */
  int32_t body_blocks;    /* at least 1 */
  int32_t fusion;         /* ptn_fusion */
} ptn_arch;

/* A named float32 tensor, C-contiguous; names and shapes as in the model file. */
typedef struct ptn_tensor {
  const char* name;
  const float* data;
  int64_t size; /* number of elements */
} ptn_tensor;

typedef struct ptn_model ptn_model; /* folded weights, in the caller's memory */
typedef struct ptn_plan ptn_plan;   /* one scene, in the caller's memory */

/* One scene. Lengths in pixels; rows and columns of the PAN grid unless named ms_. At most
 * 2^31 - 1 rows or columns and 2^40 pixels. */
typedef struct ptn_scene {
  int64_t height, width;       /* PAN grid */
  int64_t ms_height, ms_width; /* MS grid */
  /* PAN row y has its centre at MS row (y + 0.5) * scale_y + offset_y - 0.5; likewise x.
   * Scales in (0.05, 1]. Pixels outside the MS grid repeat its edge; those further than
   * about two MS pixels are not corrected by back-projection. */
  double scale_y, offset_y, scale_x, offset_x;
  double dn_per_unit;           /* DN per network value, in (1e-30, 1e30) */
  int32_t consistency;          /* back-projection steps, 0..8 */
  double gains[PTN_MAX_BANDS];  /* MTF gain per band at MS Nyquist, in (0.001, 0.999) */
  int32_t threads;              /* 1..4096 */
  int32_t storage;              /* ptn_storage */
  int32_t precision;            /* ptn_precision; PTN_BF16 only where ptn_bf16_usable() */
  int64_t tile_rows, tile_cols; /* multiples of PTN_BLOCK, at most 2^20; tile_cols: rounded up
                                 * to a multiple of PTN_COLUMNS */
  int64_t band_rows;            /* largest band, a multiple of PTN_BLOCK */
} ptn_scene;

/* Rows of the scene, in DN. Strides count elements. Row i of `pan` is PAN row
 * pan_first + i; `valid` (may be null: all valid) has the same rows, 1 where a pixel is
 * to be fused; `ms_valid` (may be null) has the rows of `ms`. Values under a zero of a
 * mask are never used. */
typedef struct ptn_input {
  const void* ms;
  int32_t ms_dtype;
  int64_t ms_first, ms_rows, ms_band_stride, ms_row_stride, ms_col_stride;
  const int32_t* ms_bands; /* which K bands of ms to read; null: 0..K-1 */
  const void* pan;
  int32_t pan_dtype;
  int64_t pan_first, pan_rows, pan_row_stride, pan_col_stride;
  const uint8_t* valid;
  int64_t valid_row_stride;
  const uint8_t* ms_valid;
  int64_t ms_valid_row_stride;
} ptn_input;

/* Where the last pass puts its rows. Values are saturated to [low, high] and rounded half to
 * even (integers); pixels that are not valid become `fill`. With `reserve_fill` a valid pixel
 * that would equal `fill` moves to the next value. Integers: low, high and fill are values of
 * the dtype, and NaN becomes low. */
typedef struct ptn_output {
  void* fused; /* first row: y0 of the call */
  int32_t dtype;
  int64_t band_stride, row_stride, col_stride;
  const int32_t* bands; /* band to write each of the K bands to, -1: nowhere; null: 0..K-1 */
  double low, high, fill;
  int32_t reserve_fill;
} ptn_output;

/* Rows [first, last) of both grids that a band needs. */
typedef struct ptn_rows {
  int64_t pan_first, pan_last, ms_first, ms_last;
} ptn_rows;

int ptn_abi_version(void);
const char* ptn_status_text(ptn_status status);

/* Instruction sets compiled in and usable here, best first, separated by spaces. */
const char* ptn_isa_usable(void);
/* The one in use. */
const char* ptn_isa(void);
/* Choose by name; null or "" or "auto": the best. Not while a plan runs. */
ptn_status ptn_isa_choose(const char* name);
/* Whether the instruction set in use has bfloat16 products here. */
int ptn_bf16_usable(void);

/* What the machine can do with so many threads, for judging a timing; takes about 0.1 s.
 * fp32 multiply-adds with the instruction set in use, GFLOP/s, two FLOPs each; bytes read and
 * written by a copy between the two halves of `memory`, GB/s, which should be far larger than
 * any cache. */
ptn_status ptn_peak_gflops(int32_t threads, double* gflops);
ptn_status ptn_copy_gbytes(int32_t threads, void* memory, size_t bytes, double* gbytes);

ptn_status ptn_model_bytes(const ptn_arch* arch, size_t* bytes);
ptn_status ptn_model_create(const ptn_arch* arch, const ptn_tensor* tensors, int32_t count,
                            void* memory, size_t bytes, ptn_model** model);

/* Number of passes of a model: blocks + 1. */
int32_t ptn_model_passes(const ptn_model* model);

ptn_status ptn_plan_bytes(const ptn_model* model, const ptn_scene* scene, size_t* bytes);
ptn_status ptn_plan_create(const ptn_model* model, const ptn_scene* scene, void* memory,
                           size_t bytes, ptn_plan** plan);
ptn_status ptn_plan_input_rows(const ptn_plan* plan, int32_t pass, int64_t y0, int64_t y1,
                               ptn_rows* rows);
/* Run rows [y0, y1) of a pass. y0 is where the last band of the pass ended; y1 is a
 * multiple of PTN_BLOCK or the last row; y1 - y0 <= band_rows. `output` is read in the
 * last pass only. */
ptn_status ptn_plan_run(ptn_plan* plan, int32_t pass, int64_t y0, int64_t y1,
                        const ptn_input* input, const ptn_output* output);

/* Quality indices. Everything is computed in double, about the first valid sample of a block, so
 * that sums of integers are exact; nothing depends on the number of threads. */
#define PTN_MAX_PLANES 16
#define PTN_MAX_PAIRS 64
#define PTN_MAX_WINDOW 256
#define PTN_WINDOW_ROWS 128 /* windows of a block along each side */

typedef enum ptn_index {
  PTN_UQI = 0,           /* uniform window: Q of Wang and Bovik (2002) */
  PTN_DECORRELATION = 1, /* uniform window: 1 - correlation */
  PTN_SSIM = 2,          /* 11x11 Gaussian, sigma 1.5: SSIM of Wang et al. (2004) */
  PTN_GAUSSIAN_UQI = 3   /* 11x11 Gaussian: 2 m_x m_y 2 s_xy / ((m_x^2 + m_y^2)
                          * (s_x^2 + s_y^2 + c1) + c2) */
} ptn_index;

/* Samples of one band; strides count elements. */
typedef struct ptn_plane {
  const void* data;
  int32_t dtype; /* ptn_dtype */
  int64_t row_stride, col_stride;
} ptn_plane;

/* Rows of an image and which of its planes are compared. */
typedef struct ptn_windows {
  int64_t rows, width;    /* of every plane; at most 2^31 - 1 */
  const ptn_plane* plane; /* [planes] */
  const int32_t* pair;    /* [pairs][2] */
  int32_t planes, pairs;
  const uint8_t* valid; /* [rows][width], may be null; samples under a zero are never used */
  int64_t valid_row_stride;
  int32_t index;  /* ptn_index */
  int32_t window; /* side, 1..PTN_MAX_WINDOW; of Gaussians 11 */
  int32_t threads;
  double c1, c2; /* of Gaussian indices, not negative */
} ptn_windows;

/* Adds to `sums` [pairs] the index of every window that lies inside the rows and holds no invalid
 * sample, and their number to `count`; one pair at least. A long image is summed piece by piece,
 * each with window - 1 rows more than windows; windows of all pieces but the last are a multiple
 * of PTN_WINDOW_ROWS, else the last bits differ from those of the whole image. */
ptn_status ptn_windows_bytes(const ptn_windows* windows, size_t* bytes);
ptn_status ptn_windows_run(const ptn_windows* windows, void* memory, size_t bytes, double* sums,
                           int64_t* count);

/* Moments of distinct blocks of window x window samples, from the top left: rows / window times
 * ceil(width / window) blocks, the image mirrored at its right edge. `moments`
 * [blocks][2 * planes + pairs]: means, variances (about the mean, divided by the number of
 * samples; 0 exactly for a constant block), covariances. `valid` [blocks]: how many samples of
 * each are valid. Moments of a block with an invalid sample mean nothing. */
ptn_status ptn_moments_bytes(const ptn_windows* windows, size_t* bytes);
ptn_status ptn_moments_run(const ptn_windows* windows, void* memory, size_t bytes, double* moments,
                           int64_t* valid);

/* A plane on a grid that is coarser by a whole number, through one separable kernel: sample (i, j)
 * is the sum of row_weights[t] * col_weights[u] * plane(first_row + i * step + t, first_col + j *
 * step + u), indices clamped, samples that are not valid taken as 0. */
typedef struct ptn_shrink {
  ptn_plane plane;
  int64_t rows, width;
  const uint8_t* valid; /* [rows][width], may be null */
  int64_t valid_row_stride;
  int64_t first_row, first_col;
  int32_t step, taps, threads;             /* step 1..64, taps 1..4096 */
  const double *row_weights, *col_weights; /* [taps] */
  double* out;                             /* [out_rows][cols] */
  int64_t out_rows, cols;
} ptn_shrink;

ptn_status ptn_shrink_bytes(const ptn_shrink* shrink, size_t* bytes);
ptn_status ptn_shrink_run(const ptn_shrink* shrink, void* memory, size_t bytes);

#ifdef __cplusplus
}
#endif
#endif /* PANTINY_H_ */
