// What a precision has to offer: the steps of the network between its global reductions. The
// plan (plan.h) puts them in order; it knows nothing of layouts.
//
//     head, statistics(0)
//     for block i: fold(i), then
//       boundary(i, i + 1)                              within encoder and body
//       apply(i), fuse, statistics(i + 1)               the last of the encoder
//       apply(i), tail                                  the last of the body
#pragma once

#include "csrc/cuda/launch.h"
#include "csrc/cuda/scene.h"
#include "csrc/cuda/weights.h"

namespace pantiny {
namespace cuda {

// A model on the device, in the layout of a precision.
struct Network {
  ptn_arch arch;
  const void* weights;  // what pack() made
};

// Features between segments, of all images. x and v are zero where no pixel exists.
struct Features {
  void *x, *v;
};

// Tiles of an image, of which each leaves partial sums; they count along rows first.
struct TileGrid {
  int height;  // rows of a tile
  int64_t down, across;
  int64_t count() const { return down * across; }
};

struct Segments {
  // Bytes of the packed weights; with `out` they are written there (host memory).
  size_t (*pack)(const Tensors& tensors, void* out);
  size_t (*feature_bytes)(const ptn_arch& arch, const Scene& scene);  // of x, and of v
  int (*planes)(const ptn_arch& arch);  // that features of an image consist of, rows in each
  size_t (*matrix_bytes)(const ptn_arch& arch);  // of one image
  // Of one image, whatever the batch: of statistics() if `alone`, else of boundary().
  // partials [images][tiles][statistics_size(arch)] float.
  TileGrid (*tiles)(const ptn_arch& arch, const Scene& scene, bool alone);

  ptn_status (*head)(const Network&, const Scene&, void* x, Stream);
  // v and the sums of block `block` from x.
  ptn_status (*statistics)(const Network&, const Scene&, int block, Features, float* partials,
                           Stream);
  // A folded matrix [images][C][C] (float, rows: outputs) in the layout of the precision.
  ptn_status (*matrices)(const ptn_arch&, int images, const float* folded, void* out, Stream);
  // Block `block` with its matrices: from -> to.x; then v and the sums of block + 1.
  ptn_status (*boundary)(const Network&, const Scene&, int block, Features from,
                         const void* matrices, Features to, float* partials, Stream);
  // The same without what follows the block.
  ptn_status (*apply)(const Network&, const Scene&, int block, Features from, const void* matrices,
                      void* to, Stream);
  // enhanced_conv; `between` is a tensor like x.
  ptn_status (*fuse)(const Network&, const Scene&, const void* x, void* between, void* to, Stream);
  // fused [images][K][H][W] float, network values, 0 where no pixel exists.
  ptn_status (*tail)(const Network&, const Scene&, const void* x, void* between, float* fused,
                     Stream);
};

const Segments& float_segments();  // fp32: features planar, all arithmetic in float
const Segments& half_segments();   // fp16: operands of products in half, sums in float
const Segments& bf16_segments();   // bf16: the same in bfloat16

}  // namespace cuda
}  // namespace pantiny
