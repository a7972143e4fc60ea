// A scene of any size in bands of its rows: a pass per global reduction and one for the result.
// A band is run as an image with some rows more at both ends, which come out wrong and are left
// out; sums are those of whole rows of tiles, so that nothing depends on where bands end.
#pragma once

#include "csrc/cuda/steps.h"
#include "csrc/cuda/tables.h"

struct ptn_cuda_scan {
  const ptn_cuda_model* model;
  ptn_cuda_scene scene;
  ptn_cuda_bands bands;
  int64_t rows;  // of the largest image
  // device memory
  pantiny::cuda::Workspace space;
  pantiny::cuda::Tables tables;
  char* kept[2];  // x and v between passes: planes, each of kept rows
  int64_t kept_rows;
};

namespace pantiny {
namespace cuda {

// Rows that bands start at are multiples of it.
int64_t scan_step(const ptn_cuda_model& model, const ptn_cuda_scene& scene);
// Rows that features next to the end of the kept ones are wrong in when all is done.
int64_t scan_margin(const ptn_cuda_model& model, const ptn_cuda_scene& scene);
bool scan_supported(const ptn_cuda_model& model, const ptn_cuda_scene& scene,
                    const ptn_cuda_bands& bands);
size_t scan_bytes(const ptn_cuda_model& model, const ptn_cuda_scene& scene,
                  const ptn_cuda_bands& bands);
ptn_status scan_place(const ptn_cuda_model& model, const ptn_cuda_scene& scene,
                      const ptn_cuda_bands& bands, void* memory, ptn_cuda_scan* out);

// Whether rows [y0, y1) can be a band.
bool scan_band_ok(const ptn_cuda_scan& scan, int pass, int64_t y0, int64_t y1);
// PAN rows that a band reads.
void scan_rows(const ptn_cuda_scan& scan, int pass, int64_t y0, int64_t y1, int64_t* first,
               int64_t* last);
ptn_status scan_run(const ptn_cuda_scan& scan, int pass, int64_t y0, int64_t y1,
                    const ptn_cuda_input& input, int64_t pan_first, const ptn_cuda_output* output,
                    Stream stream);
// Sums of the rows of tiles in [y0, y1).
void scan_sums(const ptn_cuda_scan& scan, int pass, int64_t y0, int64_t y1, double** sums,
               int64_t* count);
ptn_status scan_fold(const ptn_cuda_scan& scan, int pass, Stream stream);

}  // namespace cuda
}  // namespace pantiny
