#pragma once

#include "csrc/cuda/launch.h"

namespace pantiny {
namespace cuda {

// Rows of tiles, each added up in double in the order of its tiles.
struct TileRows {
  int images, size;       // statistics of a tile
  int64_t down, across;   // tiles of one image
  int64_t first, count;   // rows to add up
  const float* partials;  // [images][down][across][size]
  double* sums;           // [images][rows][size], from the first of the rows on
  int64_t rows;
};
ptn_status sum_tiles_cuda(const TileRows& tiles, Stream stream);

struct Fold {
  int images, channels, heads;
  int64_t rows;              // of tiles
  const double* sums;        // [images][rows][statistics]
  const float* project;      // [C][C], rows: outputs
  const float* temperature;  // [heads]
  float* matrices;           // [images][C][C], rows: outputs
};

// Sums in the order of the rows, softmax, product with the projection.
ptn_status fold_cuda(const Fold& fold, Stream stream);

}  // namespace cuda
}  // namespace pantiny
