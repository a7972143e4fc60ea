#include "csrc/cuda/weights.h"

#include <cstdio>
#include <cstring>

namespace pantiny {
namespace cuda {

namespace {

class Finder {
 public:
  Finder(const ptn_tensor* tensors, int count) : tensors_(tensors), count_(count) {}

  // Empty, and ok() false from then on, if it is missing or of another size.
  std::vector<float> get(const char* prefix, const char* name, int64_t size) {
    char full[96];
    std::snprintf(full, sizeof full, "%s%s", prefix, name);
    for (int i = 0; i < count_; ++i)
      if (!std::strcmp(tensors_[i].name, full) && tensors_[i].size == size && tensors_[i].data)
        return {tensors_[i].data, tensors_[i].data + size};
    ok_ = false;
    return {};
  }

  bool ok() const { return ok_; }

 private:
  const ptn_tensor* tensors_;
  int count_;
  bool ok_ = true;
};

// [outputs][inputs] -> [outputs][inputs + 1]: times gamma, and the sum with beta.
std::vector<float> folded(const std::vector<float>& w, const std::vector<float>& gamma,
                          const std::vector<float>& beta) {
  const size_t inputs = gamma.size(), outputs = w.size() / inputs;
  std::vector<float> out(outputs * (inputs + 1));
  for (size_t o = 0; o < outputs; ++o) {
    double bias = 0;
    for (size_t i = 0; i < inputs; ++i) {
      const double v = w[o * inputs + i];
      out[o * (inputs + 1) + i] = static_cast<float>(v * gamma[i]);
      bias += v * beta[i];
    }
    out[o * (inputs + 1) + inputs] = static_cast<float>(bias);
  }
  return out;
}

bool read_block(const ptn_arch& a, const char* prefix, Finder* find, BlockTensors* out) {
  const int64_t c = a.channels;
  const auto gamma1 = find->get(prefix, ".norm1.weight", c);
  const auto beta1 = find->get(prefix, ".norm1.bias", c);
  const auto gamma2 = find->get(prefix, ".norm2.weight", c);
  const auto beta2 = find->get(prefix, ".norm2.bias", c);
  const auto qkv = find->get(prefix, ".attention.qkv.weight", 3 * c * c);
  const auto expand = find->get(prefix, ".ffn.expand.weight", 4 * c * c);
  out->qkv_dw = find->get(prefix, ".attention.qkv_dw.weight", 3 * c * 9);
  out->project = find->get(prefix, ".attention.project.weight", c * c);
  out->temperature = find->get(prefix, ".attention.temperature", a.heads);
  out->ffn_dw = find->get(prefix, ".ffn.dw.weight", 4 * c * 9);
  out->contract = find->get(prefix, ".ffn.project.weight", 2 * c * c);
  if (!find->ok()) return false;
  out->qkv = folded(qkv, gamma1, beta1);
  out->expand = folded(expand, gamma2, beta2);
  return true;
}

}  // namespace

bool arch_compiled(const ptn_arch& a) {
  const bool width = (a.channels == 28 && a.heads == 2) || (a.channels == 40 && a.heads == 4);
  const bool depth =
      a.encoder_blocks >= 1 && a.encoder_blocks <= 64 && a.body_blocks >= 1 && a.body_blocks <= 64;
  return width && depth && a.bands == 4 && a.fusion == PTN_FUSION_ENHANCED_CONV;
}

ptn_status read_tensors(const ptn_arch& a, const ptn_tensor* tensors, int count, Tensors* out) {
  if (!arch_compiled(a)) return PTN_ERR_UNSUPPORTED;
  Finder find(tensors, count);
  const int64_t c = a.channels;
  out->arch = a;
  out->head = find.get("head", ".weight", c * a.bands * 9);
  out->fuse1 = find.get("fusion", ".conv1.weight", c * (c + 1) * 9);
  out->fuse2 = find.get("fusion", ".conv2.weight", c * c * 9);
  out->refine = find.get("refine", ".weight", c * c * 9);
  out->output = find.get("output", ".weight", a.bands * c * 9);
  out->block.resize(static_cast<size_t>(out->blocks()));
  for (int i = 0; i < out->blocks(); ++i) {
    char prefix[32];
    const bool body = i >= a.encoder_blocks;
    std::snprintf(prefix, sizeof prefix, "%s.%d", body ? "body" : "encoder",
                  body ? i - a.encoder_blocks : i);
    if (!read_block(a, prefix, &find, &out->block[static_cast<size_t>(i)])) return PTN_ERR_SHAPE;
  }
  return find.ok() ? PTN_OK : PTN_ERR_SHAPE;
}

}  // namespace cuda
}  // namespace pantiny
