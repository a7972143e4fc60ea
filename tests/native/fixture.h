// A model, a pair of images and a run through the C interface, with every block of memory
// of exactly the size asked for and surrounded by bytes that must not change.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "naive.h"
#include "pantiny.h"

// Of exactly `bytes`, aligned, filled with `fill`. What lies behind it is watched, here or by
// AddressSanitizer.
class Memory {
 public:
  Memory(size_t bytes, int fill);
  void* get() const { return start_; }
  size_t bytes() const { return bytes_; }
  bool intact() const;
  uint64_t hash() const;

 private:
  struct Free {
    void operator()(void* p) const;
  };
  size_t bytes_;
  std::unique_ptr<void, Free> block_;
  unsigned char* start_;
};

// Names and sizes of the tensors, with random values under which every part matters.
naive::Tensors random_tensors(const ptn_arch& arch, uint64_t seed);
std::vector<ptn_tensor> tensor_list(const naive::Tensors& tensors);

class Model {
 public:
  Model(const ptn_arch& arch, naive::Tensors tensors, int fill = 0xFF);
  const ptn_model* get() const { return model_; }
  const ptn_arch& arch() const { return arch_; }
  const naive::Tensors& tensors() const { return tensors_; }
  void check_unchanged() const;

 private:
  ptn_arch arch_;
  naive::Tensors tensors_;
  std::unique_ptr<Memory> memory_;
  ptn_model* model_ = nullptr;
  uint64_t hash_ = 0;
};

// DN, exactly representable in the dtypes; masks empty: all valid.
struct Pair {
  int64_t bands = 0, height = 0, width = 0, ms_height = 0, ms_width = 0;
  std::vector<double> ms, pan;
  std::vector<uint8_t> valid, ms_valid;
};

// How an image lies in memory.
enum Layout { kPlanar, kInterleaved, kGaps, kBottomUp, kLayouts };

struct Setup {
  int ms_dtype = PTN_U16, pan_dtype = PTN_U16, dtype = PTN_U16;
  Layout layout = kPlanar;
  std::vector<int32_t> ms_bands;  // empty: null; each names a band of a wider image
  std::vector<int32_t> bands;     // of the output, as in ptn_output
  double low = 0, high = 65535, fill = 0;
  bool reserve_fill = false;
  int memory_fill = 0xFF;
  int64_t band_rows = 0;      // of the calls; 0: as in the scene
  bool uneven_bands = false;  // alternate bands of band_rows and of one block
};

ptn_arch arch_of(int bands, int channels, int heads, int encoder, int body, int fusion);
// Scene of a pair: grids that share their corners, tiles of one block.
ptn_scene scene_of(const Pair& pair, int consistency);
// Random DN below `peak`, whole numbers; `ratio` PAN pixels per MS pixel.
Pair random_pair(int64_t bands, int64_t height, int64_t width, int ratio, double peak,
                 uint64_t seed);
// About half of the pixels, in blobs and specks.
std::vector<uint8_t> random_mask(int64_t height, int64_t width, uint64_t seed);

// A plan that is fed band by band with freshly allocated rows, no more than it asked for.
class Runner {
 public:
  Runner(const Model& model, const Pair& pair, const ptn_scene& scene, const Setup& setup);
  ptn_plan* plan() { return plan_; }
  int passes() const { return ptn_model_passes(model_.get()); }
  // Forget everything and start again in the same memory.
  void restart();
  ptn_status run_band(int pass, int64_t y0, int64_t y1);
  // All passes; fused [K][height][width], NaN where no band was written.
  std::vector<double> run();

  // Lets a test damage the arguments of the calls.
  struct Damage {
    int64_t pan_top = 0, pan_bottom = 0, ms_top = 0, ms_bottom = 0;  // rows to hold back
  } damage;

 private:
  const Model& model_;
  const Pair& pair_;
  ptn_scene scene_;
  Setup setup_;
  Memory memory_;
  ptn_plan* plan_ = nullptr;
  std::vector<double> fused_;
};

// One call for all of it: checks the status and the memory.
std::vector<double> fuse(const Model& model, const Pair& pair, const ptn_scene& scene,
                         const Setup& setup);

struct Truth {
  std::vector<double> dn;  // [K][height][width], neither rounded nor clipped
  double bound;            // of the error of a float32 computation, DN
};
Truth truth_of(const Model& model, const Pair& pair, const ptn_scene& scene);
void check_against(const Truth& truth, const Pair& pair, const Setup& setup,
                   const std::vector<double>& fused);
void check_same(const std::vector<double>& a, const std::vector<double>& b);

// Calls body() under every instruction set usable here; the best one is left chosen.
std::vector<std::string> usable_isas();
template <class Body>
void each_isa(Body&& body) {
  for (const std::string& isa : usable_isas()) {
    ptn_isa_choose(isa.c_str());
    body(isa);
  }
  ptn_isa_choose(nullptr);
}
