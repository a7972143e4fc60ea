#include "fixture.h"

#include <cstdlib>
#include <cstring>
#include <sstream>

#include "check.h"

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
constexpr size_t kCanary = 0;  // the sanitizer watches from the first byte on
#else
constexpr size_t kCanary = 256;
#endif
constexpr unsigned char kCanaryByte = 0xC3;

Memory::Memory(size_t bytes, int fill) : bytes_(bytes) {
  void* p = nullptr;
  if (posix_memalign(&p, 64, bytes + kCanary)) std::abort();
  block_.reset(p);
  start_ = static_cast<unsigned char*>(p);
  std::memset(p, fill, bytes);
  std::memset(start_ + bytes, kCanaryByte, kCanary);
}

void Memory::Free::operator()(void* p) const { std::free(p); }

bool Memory::intact() const {
  for (size_t i = 0; i < kCanary; ++i)
    if (start_[bytes_ + i] != kCanaryByte) return false;
  return true;
}

uint64_t Memory::hash() const {
  uint64_t h = 14695981039346656037u;
  for (size_t i = 0; i < bytes_; ++i) h = (h ^ start_[i]) * 1099511628211u;
  return h;
}

namespace {

struct Entry {
  std::string name;
  int64_t outputs, inputs;  // inputs: products per output value
};

void add_block(const std::string& p, int64_t c, int64_t heads, std::vector<Entry>* out) {
  for (const char* norm : {".norm1", ".norm2"})
    for (const char* part : {".weight", ".bias"}) out->push_back({p + norm + part, c, 1});
  out->push_back({p + ".attention.temperature", heads, 1});
  out->push_back({p + ".attention.qkv.weight", 3 * c, c});
  out->push_back({p + ".attention.qkv_dw.weight", 3 * c, 9});
  out->push_back({p + ".attention.project.weight", c, c});
  out->push_back({p + ".ffn.expand.weight", 4 * c, c});
  out->push_back({p + ".ffn.dw.weight", 4 * c, 9});
  out->push_back({p + ".ffn.project.weight", c, 2 * c});
}

std::vector<Entry> entries(const ptn_arch& a) {
  const int64_t c = a.channels;
  std::vector<Entry> out = {{"head.weight", c, a.bands * 9}};
  for (int i = 0; i < a.encoder_blocks; ++i)
    add_block("encoder." + std::to_string(i), c, a.heads, &out);
  for (int i = 0; i < a.body_blocks; ++i) add_block("body." + std::to_string(i), c, a.heads, &out);
  if (a.fusion == PTN_FUSION_CONV1X1) {
    out.push_back({"fusion.conv.weight", c, c + 1});
  } else if (a.fusion == PTN_FUSION_ENHANCED_CONV) {
    out.push_back({"fusion.conv1.weight", c, (c + 1) * 9});
    out.push_back({"fusion.conv2.weight", c, c * 9});
  } else {
    out.push_back({"fusion.expand.weight", 2 * c, c + 1});
    out.push_back({"fusion.dw.weight", 2 * c, 9});
    out.push_back({"fusion.project.weight", c, c});
  }
  out.push_back({"refine.weight", c, c * 9});
  out.push_back({"output.weight", a.bands, c * 9});
  return out;
}

bool ends_with(const std::string& s, const char* tail) {
  const size_t n = std::strlen(tail);
  return s.size() >= n && !s.compare(s.size() - n, n, tail);
}

}  // namespace

naive::Tensors random_tensors(const ptn_arch& arch, uint64_t seed) {
  Rng rng(seed);
  naive::Tensors out;
  for (const Entry& e : entries(arch)) {
    const bool norm = e.name.find(".norm") != std::string::npos;
    std::vector<float>& values = out[e.name];
    for (int64_t i = 0; i < e.outputs * e.inputs; ++i) {
      double v = rng.normal() / std::sqrt(static_cast<double>(e.inputs));
      if (ends_with(e.name, "temperature")) v = rng.uniform(1, 3);
      if (norm) v = ends_with(e.name, "bias") ? 0.3 * rng.normal() : rng.uniform(0.5, 1.5);
      values.push_back(static_cast<float>(v));
    }
  }
  return out;
}

std::vector<ptn_tensor> tensor_list(const naive::Tensors& tensors) {
  std::vector<ptn_tensor> list;
  for (const auto& [name, values] : tensors)
    list.push_back({name.c_str(), values.data(), static_cast<int64_t>(values.size())});
  return list;
}

Model::Model(const ptn_arch& arch, naive::Tensors tensors, int fill)
    : arch_(arch), tensors_(std::move(tensors)) {
  size_t bytes = 0;
  CHECK_EQ(ptn_model_bytes(&arch, &bytes), PTN_OK);
  memory_ = std::make_unique<Memory>(bytes, fill);
  const std::vector<ptn_tensor> list = tensor_list(tensors_);
  CHECK_EQ(ptn_model_create(&arch, list.data(), static_cast<int32_t>(list.size()), memory_->get(),
                            bytes, &model_),
           PTN_OK);
  CHECK(memory_->intact());
  hash_ = memory_->hash();
}

void Model::check_unchanged() const {
  CHECK(memory_->intact());
  CHECK(memory_->hash() == hash_);
}

ptn_arch arch_of(int bands, int channels, int heads, int encoder, int body, int fusion) {
  return {bands, channels, heads, encoder, body, fusion};
}

ptn_scene scene_of(const Pair& pair, int consistency) {
  constexpr double kGains[PTN_MAX_BANDS] = {0.355, 0.36, 0.365, 0.335, 0.22, 0.30, 0.27, 0.32};
  ptn_scene s{};
  s.height = pair.height;
  s.width = pair.width;
  s.ms_height = pair.ms_height;
  s.ms_width = pair.ms_width;
  s.scale_y = static_cast<double>(pair.ms_height) / static_cast<double>(pair.height);
  s.scale_x = static_cast<double>(pair.ms_width) / static_cast<double>(pair.width);
  s.dn_per_unit = 1000;
  s.consistency = consistency;
  std::copy_n(kGains, PTN_MAX_BANDS, s.gains);
  s.threads = 1;
  s.storage = PTN_KEEP;
  s.tile_rows = s.tile_cols = s.band_rows = PTN_BLOCK;
  return s;
}

Pair random_pair(int64_t bands, int64_t height, int64_t width, int ratio, double peak,
                 uint64_t seed) {
  Rng rng(seed);
  Pair p;
  p.bands = bands;
  p.height = height;
  p.width = width;
  p.ms_height = (height + ratio - 1) / ratio;
  p.ms_width = (width + ratio - 1) / ratio;
  p.ms.resize(static_cast<size_t>(bands * p.ms_height * p.ms_width));
  p.pan.resize(static_cast<size_t>(height * width));
  for (std::vector<double>* image : {&p.ms, &p.pan})
    for (double& v : *image) v = std::floor(rng.uniform(0, peak + 1));
  return p;
}

std::vector<uint8_t> random_mask(int64_t height, int64_t width, uint64_t seed) {
  Rng rng(seed);
  std::vector<uint8_t> mask(static_cast<size_t>(height * width), 1);
  for (int64_t blob = 0; blob < 1 + height * width / 500; ++blob) {
    const int64_t y0 = static_cast<int64_t>(rng.uniform(0, static_cast<double>(height)));
    const int64_t x0 = static_cast<int64_t>(rng.uniform(0, static_cast<double>(width)));
    const int64_t y1 = std::min(height, y0 + static_cast<int64_t>(rng.uniform(1, 16)));
    const int64_t x1 = std::min(width, x0 + static_cast<int64_t>(rng.uniform(1, 16)));
    for (int64_t y = y0; y < y1; ++y)
      for (int64_t x = x0; x < x1; ++x) mask[static_cast<size_t>(y * width + x)] = 0;
  }
  for (uint8_t& m : mask)
    if (rng.uniform() < 0.05) m = 0;
  return mask;
}

Truth truth_of(const Model& model, const Pair& pair, const ptn_scene& s) {
  const size_t size = static_cast<size_t>(pair.bands * pair.height * pair.width);
  const naive::Mask everywhere(static_cast<size_t>(pair.height * pair.width), 1);
  const naive::Mask* valid = pair.valid.empty() ? nullptr : &pair.valid;
  const naive::Mask* ms_valid = pair.ms_valid.empty() ? nullptr : &pair.ms_valid;
  double largest_sum = 0, doubt = 1;
  auto compute = [&](auto zero) {
    using T = decltype(zero);
    naive::Image<T> ms(pair.bands, pair.ms_height, pair.ms_width), pan(1, pair.height, pair.width);
    for (size_t i = 0; i < ms.v.size(); ++i)
      if (!ms_valid || pair.ms_valid[i % static_cast<size_t>(pair.ms_height * pair.ms_width)])
        ms.v[i] = static_cast<T>(pair.ms[i] / s.dn_per_unit);
    naive::Image<T> up = naive::upsample(ms, s, ms_valid);
    for (size_t i = 0; i < everywhere.size(); ++i) {
      const bool there = !valid || pair.valid[i];
      if (there) pan.v[i] = static_cast<T>(pair.pan[i] / s.dn_per_unit);
      for (size_t k = 0; k < static_cast<size_t>(pair.bands) && !there; ++k)
        up.v[k * everywhere.size() + i] = 0;
    }
    naive::Network<T> network(model.arch(), model.tensors());
    naive::Image<T> fused = network.run(up, pan, valid ? *valid : everywhere);
    largest_sum = network.largest_sum();
    naive::consistency(fused, ms, s, valid, ms_valid, &doubt);
    return fused.v;
  };
  // the tests' masks must not leave a choice to rounding
  const std::vector<float> rough = compute(0.0f);
  const std::vector<double> fine = compute(0.0);
  CHECK(doubt > 1e-5);
  Truth truth;
  double off = 0;
  for (size_t i = 0; i < size; ++i) {
    off = std::max(off, std::fabs(static_cast<double>(rough[i]) - fine[i]));
    truth.dn.push_back(fine[i] * s.dn_per_unit);
  }
  // What float32 costs a plain computation in another order of sums, eight times over for
  // luck; and what the last product alone may round, n eps sum |w x|, for few pixels.
  const double eps = 0x1p-24;
  truth.bound = s.dn_per_unit * (8 * off + 9 * model.arch().channels * eps * largest_sum);
  return truth;
}

void check_against(const Truth& truth, const Pair& pair, const Setup& setup,
                   const std::vector<double>& fused) {
  CHECK_EQ(fused.size(), truth.dn.size());
  const size_t pixels = static_cast<size_t>(pair.height * pair.width);
  size_t wrong = 0, at = 0;
  double worst = -1;
  for (size_t i = 0; i < fused.size(); ++i) {
    const bool valid = pair.valid.empty() || pair.valid[i % pixels];
    const double wanted =
        valid ? std::min(std::max(truth.dn[i], setup.low), setup.high) : setup.fill;
    if (std::isnan(wanted) && std::isnan(fused[i])) continue;  // fill
    const double rounding = setup.dtype == PTN_F32 ? std::fabs(wanted) * 0x1p-24 : 0.5;
    const double excess = std::fabs(fused[i] - wanted) - (valid ? rounding : 0);
    const double ratio = excess / (valid ? truth.bound : 1e-300);
    if (setup.dtype == PTN_F32 && valid) g_worst_ratio = std::max(g_worst_ratio, ratio);
    if (ratio <= 1) continue;  // NaN goes on
    ++wrong;
    if (excess > worst || worst < 0) {
      worst = excess;
      at = i;
    }
  }
  if (wrong) {
    std::printf(
        "%zu of %zu pixels are off; worst: band %zu row %zu column %zu: %.9g, expected %.9g, "
        "bound %.3g\n",
        wrong, fused.size(), at / pixels, at % pixels / static_cast<size_t>(pair.width),
        at % static_cast<size_t>(pair.width), fused[at], truth.dn[at], truth.bound);
  }
  CHECK_EQ(wrong, 0);
}

void check_same(const std::vector<double>& a, const std::vector<double>& b) {
  CHECK_EQ(a.size(), b.size());
  size_t differ = 0;
  for (size_t i = 0; i < a.size() && i < b.size(); ++i)
    differ += std::memcmp(&a[i], &b[i], sizeof(double)) != 0;
  CHECK_EQ(differ, 0);
}

std::vector<std::string> usable_isas() {
  std::istringstream words(ptn_isa_usable());
  std::vector<std::string> names;
  for (std::string name; words >> name;) names.push_back(name);
  return names;
}
