// What the kernels of 16-bit features share: element types, widths, tiles and the layout.
//
// Features [images][H][W][slots] of 16 bits, slots = C and one more, rounded up to 16; zero from
// slot C on. A fragment of mma m16n8k16 is 16 pixels of a row: row g of it is pixel 2g, row g + 8
// is pixel 2g + 1. The order of K and N is ours to choose, in the packed weights: lane (g, t)
// owns the channels 8t .. 8t + 7 of its two pixels (and 32 + 4t .. 32 + 4t + 3 of wider ones) in
// every operand and every result, so what one product gives is what the next one takes.
#pragma once

#include "csrc/cuda/scene.h"

namespace pantiny {
namespace cuda {

struct Half {
  static PTN_HOST_DEVICE uint32_t pack(float a, float b) { return pack_half(a, b); }
  // what a wild sample may make large: finite, so that one pixel cannot spoil the sums of all
  static PTN_DEVICE uint32_t pack_finite(float a, float b) { return pack_finite_half(a, b); }
  static PTN_DEVICE uint32_t pack_relu(float a, float b) { return pack_relu_half(a, b); }
  static PTN_DEVICE void unpack(uint32_t u, float& a, float& b) { unpack_half(u, a, b); }
  static PTN_DEVICE uint32_t fma(uint32_t a, uint32_t b, uint32_t c) { return half_fma(a, b, c); }
  static PTN_DEVICE uint32_t mul(uint32_t a, uint32_t b) { return half_mul(a, b); }
  static PTN_DEVICE void mma(float* d, const uint32_t* a, uint32_t b0, uint32_t b1) {
    mma_half(d, a, b0, b1);
  }
  static PTN_DEVICE void mma_8(float* d, const uint32_t* a, uint32_t b) { mma_half_8(d, a, b); }
};

struct Bf16 {
  static PTN_HOST_DEVICE uint32_t pack(float a, float b) { return pack_bf16(a, b); }
  static PTN_DEVICE uint32_t pack_finite(float a, float b) { return pack_bf16(a, b); }
  static PTN_DEVICE uint32_t pack_relu(float a, float b) { return pack_relu_bf16(a, b); }
  static PTN_DEVICE void unpack(uint32_t u, float& a, float& b) { unpack_bf16(u, a, b); }
  static PTN_DEVICE uint32_t fma(uint32_t a, uint32_t b, uint32_t c) { return bf16_fma(a, b, c); }
  static PTN_DEVICE uint32_t mul(uint32_t a, uint32_t b) { return bf16_mul(a, b); }
  static PTN_DEVICE void mma(float* d, const uint32_t* a, uint32_t b0, uint32_t b1) {
    mma_bf16(d, a, b0, b1);
  }
  static PTN_DEVICE void mma_8(float* d, const uint32_t* a, uint32_t b) { mma_bf16_8(d, a, b); }
};

template <int C, int Heads>
struct Width {
  static constexpr int kChannels = C, kHeads = Heads, kHeadChannels = C / Heads;
  static constexpr int kSlots = (C + 1 + 15) / 16 * 16;
  static constexpr int kSteps = kSlots / 16, kTiles = kSlots / 8;  // of K and N in a product
  static constexpr int kPixelBytes = 2 * kSlots;
  static constexpr int kSums = Heads * kHeadChannels * kHeadChannels + 2 * C;
  // Chunks of 32 expanded channels: 16 a and their 16 b, and what is left, half a chunk or none;
  // q and k of a head; 32 of v.
  static constexpr int kGateChunks = 2 * C / 16;
  static constexpr bool kHalfChunk = 2 * C % 16 != 0;
  static_assert(2 * C % 8 == 0, "half a chunk is 8 a and their 8 b");
  static constexpr int kValueChunks = (kSlots + 31) / 32;
  static_assert(kHeadChannels <= 16, "a head's q and k share a chunk");
  static_assert(kTiles == 4 || kTiles == 6, "a lane owns 8 or 12 channels of a pixel");

  // The first of the two channels that a lane owns in tile j.
  static PTN_HOST_DEVICE constexpr int channel(int j, int t) {
    return j < 4 ? 8 * t + 2 * j : 32 + 4 * t + 2 * (j - 4);
  }
  // Slot C: 1 after a norm (its bias is column C of the weights), PAN before the fusion.
  static constexpr int kExtraTile = C == 28 ? 2 : 4;
  static constexpr int kExtraLane = C == 28 ? 3 : 2;
};
static_assert(Width<28, 2>::channel(2, 3) == 28 && Width<40, 4>::channel(4, 2) == 40, "slot C");

// A block's region: column blocks of 16 pixels times groups of rows, a warp each. The inner rows
// are those that warps finish; one more lies on each side.
template <int ColumnBlocks, int Groups, int RowsEach>
struct Tile {
  static constexpr int kColumnBlocks = ColumnBlocks, kGroups = Groups, kRows = RowsEach;
  static constexpr int kWidth = 16 * ColumnBlocks, kHeight = Groups * RowsEach + 2;
  static constexpr int kWarps = ColumnBlocks * Groups, kThreads = kWarps * kWarp;
  // 168 registers a thread, whatever the shape
  static constexpr int kMinBlocks = kThreads > 192 ? 1 : 384 / kThreads;
  static_assert(Groups >= 2, "the first and the last group take the outer rows");
};

// warp() as a shift: fewer registers than the division of a signed number.
PTN_DEVICE int warp_index() { return static_cast<unsigned>(thread()) / kWarp; }

// Where a thread is: its lane's two pixels are columns px and px + 1 of the region. Bits 2i + p of
// a word stand for pixel p of the i-th of some rows.
template <class T>
struct Place {
  int g, t, px, group;
  int image, x0, y0;  // column 0 and row 0 of the region
  uint32_t columns;   // those of the image, in every row

  PTN_DEVICE Place(const Scene& s, int halo, int thread) {
    const Dim3 b = block();
    const unsigned i = thread, warp = i / kWarp;
    g = i % kWarp >> 2;
    t = i & 3;
    px = warp % T::kColumnBlocks * 16 + 2 * g;
    group = warp / T::kColumnBlocks;
    image = b.z;
    x0 = b.x * (T::kWidth - 2 * halo) - halo;
    y0 = b.y * (T::kHeight - 2 * halo) - halo;
    columns =
        in_every_row(x0 + px >= 0 && x0 + px < s.width, x0 + px >= -1 && x0 + px + 1 < s.width);
  }

  static PTN_DEVICE uint32_t in_every_row(bool first, bool second) {
    return (first ? 0x55555555u : 0u) | (second ? 0xaaaaaaaau : 0u);
  }
  // Columns that the tile of this block owns, `halo` from the region's sides.
  PTN_DEVICE uint32_t owned(int halo) const {
    return columns & in_every_row(px >= halo && px < T::kWidth - halo,
                                  px + 1 >= halo && px + 1 < T::kWidth - halo);
  }
  // Bits of rows `from` .. that are in the image.
  template <int Rows>
  PTN_DEVICE uint32_t in_image(const Scene& s, int from) const {
    static_assert(Rows < 16, "two bits a row");
    const int first = y0 + from, above = first < 0 ? -first : 0, end = s.height - first;
    const int rows = end < 0 ? 0 : end > Rows ? Rows : end;
    return columns & ((1u << 2 * rows) - 1u) & ~0u << 2 * (above > Rows ? Rows : above);
  }
  // And of pixels that exist. All lanes of the warp ask for the same rows.
  template <int Rows>
  PTN_DEVICE uint32_t there(const Scene& s, int from) const {
    const uint32_t bits = in_image<Rows>(s, from);
    if (!s.valid.data) return bits;
    // 16 pixels of two rows at a time, a lane each
    const int x = x0 + px - 2 * g + (lane() & 15), y = y0 + from + (lane() >> 4);
    const uint8_t* mask = s.valid.data + image * s.valid.image_stride + x;
    uint32_t there = 0;
    PTN_UNROLL
    for (int i = 0; i < Rows; i += 2) {
      const bool is = inside(s, y + i, x) && mask[(y + i) * s.valid.row_stride] != 0;
      const uint32_t rows = ballot(is) >> 2 * g;
      there |= ((rows & 3u) | (rows >> 14 & 12u)) << 2 * i;
    }
    return bits & there;
  }

  // A lane's part of its first pixel of a row of features; may lie outside of them.
  template <class W>
  PTN_DEVICE int64_t offset(const Scene& s, int row) const {
    const int64_t y = static_cast<int64_t>(image) * s.height + y0 + row;
    return (y * s.width + x0 + px) * W::kPixelBytes + t * 16;
  }
  // The rows that a warp finishes: a share of the inner ones, or of those without one more row
  // of halo (the first groups take what does not divide).
  PTN_DEVICE int first_inner() const { return 1 + group * T::kRows; }
  static constexpr int kCore = T::kGroups * T::kRows - 2;
  static constexpr int kCoreEach = kCore / T::kGroups, kMore = kCore % T::kGroups;
  PTN_DEVICE int core_rows() const { return kCoreEach + (group < kMore ? 1 : 0); }
  PTN_DEVICE int first_core() const {
    return 2 + group * kCoreEach + (group < kMore ? group : kMore);
  }
  // Whether row `i` is one of `rows` core rows: known when compiled, for all but the last.
  static PTN_DEVICE bool is_core(int i, int rows) { return i < kCoreEach || i < rows; }
  // Of the inner rows, those that the tile owns.
  PTN_DEVICE uint32_t rows(int halo) const {
    uint32_t bits = ~0u;
    if (halo == 2 && group == 0) bits = ~3u;
    if (halo == 2 && group == T::kGroups - 1) bits = (1u << 2 * (T::kRows - 1)) - 1u;
    return bits;
  }
  // Of all rows of the region, those that a warp prepares: its inner ones and the outer ones.
  PTN_DEVICE int first_row() const { return group == 0 ? 0 : first_inner(); }
  PTN_DEVICE bool has_row(int i) const {
    return i < T::kRows || group == 0 || group == T::kGroups - 1;
  }
  // Besides the inner ones, if has_row(T::kRows).
  PTN_DEVICE int outer_row() const { return group == 0 ? 0 : T::kHeight - 1; }
};

PTN_DEVICE bool bit(uint32_t bits, int i) { return (bits >> i & 1u) != 0; }

// Where 128-bit accesses of a warp meet no bank twice, shifted by a column or not.
PTN_DEVICE int swizzled(int px) { return px ^ ((px >> 1) & 1); }

// Fragment-ordered weights: `Count` words of a lane, 16 bytes at a time.
template <int Count>
PTN_DEVICE void load_fragments(uint32_t (&b)[Count], const uint32_t* from) {
  static_assert(Count % 4 == 0, "16 bytes");
  PTN_UNROLL
  for (int i = 0; i < Count / 4; ++i) {
    const Words v = load_words(from + (i * kWarp + lane()) * 4);
    b[4 * i] = v.x;
    b[4 * i + 1] = v.y;
    b[4 * i + 2] = v.z;
    b[4 * i + 3] = v.w;
  }
}

// c += a b: Steps of K, Tiles of N; b [Steps][Tiles][2].
template <class E, int Steps, int Tiles>
PTN_DEVICE void multiply(float* c, const uint32_t* a, const uint32_t* b) {
  PTN_UNROLL
  for (int j = 0; j < Tiles; ++j) PTN_UNROLL
  for (int s = 0; s < Steps; ++s)
    E::mma(c + 4 * j, a + 4 * s, b[2 * (s * Tiles + j)], b[2 * (s * Tiles + j) + 1]);
}

// A fragment holds tile j of pixel p in word 2j + p. Tiles 0..3 of pixel p as 16 bytes:
PTN_DEVICE Words pixel_words(const uint32_t* a, int p) {
  return {a[p], a[2 + p], a[4 + p], a[6 + p]};
}
PTN_DEVICE void set_pixel_words(uint32_t* a, int p, Words v) {
  a[p] = v.x;
  a[2 + p] = v.y;
  a[4 + p] = v.z;
  a[6 + p] = v.w;
}

template <class W>
PTN_DEVICE void clear_pixel(uint32_t* a, int p) {
  PTN_UNROLL
  for (int j = 0; j < W::kTiles; ++j) a[2 * j + p] = 0;
}

// Results of products in 16 bits, as a fragment, by one of the element's ways to pack.
template <class Pack>
PTN_DEVICE void pack_fragment(uint32_t* a, const float* c, int tiles, Pack&& pack) {
  PTN_UNROLL
  for (int j = 0; j < tiles; ++j) {
    a[2 * j] = pack(c[4 * j], c[4 * j + 1]);
    a[2 * j + 1] = pack(c[4 * j + 2], c[4 * j + 3]);
  }
}

struct alignas(8) TwoWords {
  uint32_t x, y;
};

// Bytes of a row of features.
template <class W>
PTN_DEVICE int64_t row_bytes(const Scene& s) {
  return static_cast<int64_t>(s.width) * W::kPixelBytes;
}

// What a lane owns of one pixel of features (Place::offset); zeros where it is not `there`.
template <class W>
PTN_DEVICE void load_pixel(uint32_t* a, int p, const char* from, int t, bool there) {
  set_pixel_words(a, p, there ? load_words(from) : Words{0, 0, 0, 0});
  if constexpr (W::kTiles > 4) {
    const auto v = there ? *reinterpret_cast<const TwoWords*>(from + 64 - t * 8) : TwoWords{0, 0};
    a[8 + p] = v.x;
    a[10 + p] = v.y;
  }
}

// Stores those of a lane's two pixels that `owned` says, zeros where they are not `there`.
template <class W>
PTN_DEVICE void store_pixels(char* to, int t, uint32_t* a, uint32_t owned, uint32_t there) {
  PTN_UNROLL
  for (int p = 0; p < 2; ++p) {
    if (!bit(owned, p)) continue;
    if (!bit(there, p)) clear_pixel<W>(a, p);
    store_words(to + p * W::kPixelBytes, pixel_words(a, p));
    if constexpr (W::kTiles > 4)
      *reinterpret_cast<TwoWords*>(to + p * W::kPixelBytes + 64 - t * 8) =
          TwoWords{a[8 + p], a[10 + p]};
  }
}

}  // namespace cuda
}  // namespace pantiny
