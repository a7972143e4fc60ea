// fp16 and bf16: packed weights, the choice of tiles, the table of the plan.
#include <cstring>

#include "csrc/cuda/memory.h"
#include "csrc/cuda/pack_half.h"
#include "kernels/half.h"

namespace pantiny {
namespace cuda {

namespace {

// run(Width) with the type of an architecture; 0 where there is none.
template <class Run>
int64_t with_width(const ptn_arch& arch, Run&& run) {
  int64_t result = 0;
  with_types(arch, HalfTile::kSmall, [&](auto w, auto) {
    result = run(w);
    return PTN_OK;
  });
  return result;
}

// Of the image's size and the device only: the same for any batch and band, so the sums are.
HalfTile choose_tile(const Scene& s) {
  constexpr int64_t kFewPixels = 256 * 256;
  constexpr size_t kWideBytes = 139520;
  if (static_cast<int64_t>(s.scene_height) * s.width <= kFewPixels) return HalfTile::kSmall;
  return shared_memory_limit() >= kWideBytes ? HalfTile::kWide : HalfTile::kLean;
}

// A folded matrix [C][C] as fragments; one thread a word.
template <class E, class W>
struct MatricesHalf {
  static constexpr const char* kName = "matrices, 16 bits";
  static constexpr int kThreads = 256, kMinBlocks = 1;
  struct Args {
    const float* folded;  // [images][C][C]
    uint32_t* out;        // [images][steps][tiles] fragments
  };
  static constexpr size_t shared_bytes(const Args&) { return 0; }

  static PTN_DEVICE void run(const Args& a, char*) {
    constexpr int kC = W::kChannels;
    const int64_t image = block().x;
    const float* matrix = a.folded + image * kC * kC;
    uint32_t* out = a.out + image * PackedModel<W>::kMatrix;
    for (int i = thread(); i < PackedModel<W>::kMatrix; i += kThreads) {
      const FragmentAt at = fragment_at(i, W::kTiles);
      const int o = output_channel<W>(at.j, at.n), c = 16 * at.s + at.k;
      out[i] = E::pack(o < kC && c < kC ? matrix[o * kC + c] : 0.0f,
                       o < kC && c + 1 < kC ? matrix[o * kC + c + 1] : 0.0f);
    }
  }
};

template <class E>
struct Table {
  static size_t pack(const Tensors& tensors, void* out) {
    return static_cast<size_t>(with_width(tensors.arch, [&](auto w) {
      using W = decltype(w);
      const size_t bytes = PackedModel<W>::words(tensors.blocks()) * sizeof(uint32_t);
      if (out) {
        std::memset(out, 0, bytes);
        HalfPacker<E, W>(tensors).pack(static_cast<uint32_t*>(out));
      }
      return static_cast<int64_t>(bytes);
    }));
  }

  static size_t feature_bytes(const ptn_arch& arch, const Scene& s) {
    return static_cast<size_t>(with_width(arch, [&](auto w) {
      return static_cast<int64_t>(s.images) * s.height * s.width * decltype(w)::kPixelBytes;
    }));
  }

  static size_t matrix_bytes(const ptn_arch& arch) {
    return static_cast<size_t>(with_width(arch, [&](auto w) {
      return static_cast<int64_t>(PackedModel<decltype(w)>::kMatrix * sizeof(uint32_t));
    }));
  }

  // The same whether the sums are alone or not.
  static TileGrid tiles(const ptn_arch& arch, const Scene& s, bool) {
    TileGrid found{};
    with_types(arch, choose_tile(s), [&](auto, auto t) {
      found = sum_tiles<decltype(t)>(s);
      return PTN_OK;
    });
    return found;
  }

  static int planes(const ptn_arch&) { return 1; }

  static ptn_status head(const Network& n, const Scene& s, void* x, Stream stream) {
    return head_half<E>(choose_tile(s), n, s, x, stream);
  }
  static ptn_status statistics(const Network& n, const Scene& s, int block, Features f,
                               float* partials, Stream stream) {
    return statistics_half<E>(choose_tile(s), n, s, block, f, partials, stream);
  }
  static ptn_status matrices(const ptn_arch& arch, int images, const float* folded, void* out,
                             Stream stream) {
    return with_types(arch, HalfTile::kSmall, [&](auto w, auto) {
      return launch<MatricesHalf<E, decltype(w)>>({folded, static_cast<uint32_t*>(out)},
                                                  {images, 1, 1}, stream);
    });
  }
  static ptn_status boundary(const Network& n, const Scene& s, int block, Features from,
                             const void* matrices, Features to, float* partials, Stream stream) {
    return boundary_half<E>(choose_tile(s), n, s, block, from, matrices, to, partials, stream);
  }
  static ptn_status apply(const Network& n, const Scene& s, int block, Features from,
                          const void* matrices, void* to, Stream stream) {
    return apply_half<E>(choose_tile(s), n, s, block, from, matrices, to, stream);
  }
  static ptn_status fuse(const Network& n, const Scene& s, const void* x, void*, void* to,
                         Stream stream) {
    return fuse_half<E>(choose_tile(s), n, s, x, to, stream);
  }
  static ptn_status tail(const Network& n, const Scene& s, const void* x, void*, float* fused,
                         Stream stream) {
    return tail_half<E>(choose_tile(s), n, s, x, fused, stream);
  }

  static constexpr Segments kSegments = {pack,     feature_bytes, planes,     matrix_bytes,
                                         tiles,    head,          statistics, matrices,
                                         boundary, apply,         fuse,       tail};
};

}  // namespace

const Segments& half_segments() { return Table<Half>::kSegments; }
const Segments& bf16_segments() { return Table<Bf16>::kSegments; }

}  // namespace cuda
}  // namespace pantiny
