#include "csrc/model.h"

#include <cstdio>
#include <cstring>

#include "csrc/pairs.h"

namespace pantiny {

namespace {

// Finds tensors by name and checks their size; remembers the first failure.
class Tensors {
 public:
  Tensors(const ptn_tensor* tensors, int count) : tensors_(tensors), count_(count) {}

  const float* get(const char* prefix, const char* name, int64_t size) {
    char full[96];
    std::snprintf(full, sizeof full, "%s%s", prefix, name);
    for (int i = 0; i < count_; ++i)
      if (!std::strcmp(tensors_[i].name, full))
        return tensors_[i].size == size && tensors_[i].data ? tensors_[i].data : fail();
    return fail();
  }

  bool ok() const { return ok_; }

 private:
  const float* fail() {
    ok_ = false;
    return nullptr;
  }

  const ptn_tensor* tensors_;
  int count_;
  bool ok_ = true;
};

// out[k][i] = w[order[i]][k] * gamma[k]; bias[i] = sum_k w[order[i]][k] * beta[k].
void pack_1x1(const float* w, int inputs, const int* order, int outputs, const float* gamma,
              const float* beta, float* out, float* bias) {
  for (int i = 0; i < outputs; ++i) {
    const float* row = w + static_cast<int64_t>(order[i]) * inputs;
    double sum = 0;
    for (int k = 0; k < inputs; ++k) {
      out[k * outputs + i] = static_cast<float>(static_cast<double>(row[k]) * gamma[k]);
      sum += static_cast<double>(row[k]) * beta[k];
    }
    bias[i] = static_cast<float>(sum);
  }
}

void pack_depthwise(const float* w, const int* order, int planes, float* out) {
  for (int i = 0; i < planes; ++i) std::memcpy(out + i * 9, w + order[i] * 9, 9 * sizeof(float));
}

// [outputs][inputs][3][3] -> [3][inputs][3][outputs]: rows, inputs, columns, outputs
void pack_3x3(const float* w, int inputs, int outputs, float* out) {
  for (int o = 0; o < outputs; ++o)
    for (int k = 0; k < inputs; ++k)
      for (int dy = 0; dy < 3; ++dy)
        for (int dx = 0; dx < 3; ++dx)
          out[((dy * inputs + k) * 3 + dx) * outputs + o] = w[((o * inputs + k) * 3 + dy) * 3 + dx];
}

// [outputs][inputs][3][3] -> [4][inputs][3][outputs]: the rows of a kernel combined for two output
// rows at a time
void pack_folded(const float* w, int inputs, int outputs, float* out) {
  const int64_t next = static_cast<int64_t>(inputs) * 3 * outputs;
  for (int o = 0; o < outputs; ++o)
    for (int k = 0; k < inputs; ++k)
      for (int dx = 0; dx < 3; ++dx) {
        const float* g = w + (o * inputs + k) * 9 + dx;
        const double g0 = g[0], g1 = g[3], g2 = g[6];
        const double combined[4] = {g0, (g0 + g1 + g2) / 2, (g0 - g1 + g2) / 2, g2};
        for (int i = 0; i < 4; ++i)
          out[i * next + (k * 3 + dx) * outputs + o] = static_cast<float>(combined[i]);
      }
}

// [outputs][inputs] -> [inputs][outputs]
void transpose(const float* w, int inputs, int outputs, float* out) {
  for (int o = 0; o < outputs; ++o)
    for (int k = 0; k < inputs; ++k) out[k * outputs + o] = w[o * inputs + k];
}

// Memory of the weights of a product, [rows][inputs][next], and of its pairs.
struct PanelMemory {
  int rows, inputs, next;
  float* w;
  uint32_t* pairs;

  PanelMemory(Arena& arena, int rows, int inputs, int next)
      : rows(rows),
        inputs(inputs),
        next(next),
        w(arena.take<float>(static_cast<size_t>(rows) * inputs * next)),
        pairs(arena.take<uint32_t>(static_cast<size_t>(pairs_size(rows, inputs, next)))) {}

  // Of weights that are there.
  Panel packed() const {
    pack_pairs(w, rows, inputs, next, pairs);
    return {w, pairs};
  }
};

// The same of a 3x3 for two rows at a time.
struct FoldedMemory {
  int outputs;
  PanelMemory all;

  FoldedMemory(Arena& arena, int inputs, int outputs)
      : outputs(outputs), all(arena, 4, inputs, 3 * outputs) {}

  FoldedPanels packed(const float* w) const {
    pack_folded(w, all.inputs, outputs, all.w);
    const Panel p = all.packed();
    FoldedPanels out;
    for (int i = 0; i < 4; ++i)
      out.row[i] = {p.w + static_cast<int64_t>(i) * all.inputs * all.next,
                    p.pairs + pairs_size(i, all.inputs, all.next)};
    return out;
  }
};

// The gate's other factor: the kernels take twice the GELU.
void halve(float* w, int count) {
  for (int i = 0; i < count; ++i) w[i] *= 0.5f;
}

void fill_block(Arena& arena, const ptn_arch& a, const char* prefix, Tensors* tensors,
                BlockWeights* out) {
  const int channels = a.channels, c = channels / a.heads;
  const PanelMemory v(arena, 1, channels, channels), qk(arena, 1, channels, 2 * channels);
  const PanelMemory ffn(arena, 1, channels, 4 * channels);
  const PanelMemory ffn_out(arena, 1, 2 * channels, channels);
  auto* v_bias = arena.take<float>(channels);
  auto* v_dw = arena.take<float>(channels * 9);
  auto* qk_bias = arena.take<float>(2 * channels);
  auto* qk_dw = arena.take<float>(2 * channels * 9);
  auto* ffn_bias = arena.take<float>(4 * channels);
  auto* ffn_dw = arena.take<float>(4 * channels * 9);
  auto* temperature = arena.take<float>(a.heads);
  auto* project = arena.take<float>(channels * channels);
  if (!tensors) return;

  const float* gamma1 = tensors->get(prefix, ".norm1.weight", channels);
  const float* beta1 = tensors->get(prefix, ".norm1.bias", channels);
  const float* gamma2 = tensors->get(prefix, ".norm2.weight", channels);
  const float* beta2 = tensors->get(prefix, ".norm2.bias", channels);
  const float* w_qkv = tensors->get(prefix, ".attention.qkv.weight", 3 * channels * channels);
  const float* w_dw = tensors->get(prefix, ".attention.qkv_dw.weight", 3 * channels * 9);
  const float* w_project = tensors->get(prefix, ".attention.project.weight", channels * channels);
  const float* w_temperature = tensors->get(prefix, ".attention.temperature", a.heads);
  const float* w_expand = tensors->get(prefix, ".ffn.expand.weight", 4 * channels * channels);
  const float* w_ffn_dw = tensors->get(prefix, ".ffn.dw.weight", 4 * channels * 9);
  const float* w_out = tensors->get(prefix, ".ffn.project.weight", 2 * channels * channels);
  if (!tensors->ok()) return;

  int order[4 * 64];
  for (int i = 0; i < channels; ++i) order[i] = 2 * channels + i;
  pack_1x1(w_qkv, channels, order, channels, gamma1, beta1, v.w, v_bias);
  pack_depthwise(w_dw, order, channels, v_dw);
  for (int i = 0; i < 2 * channels; ++i) {  // per head q, then k
    const int head = i / (2 * c), j = i % (2 * c);
    order[i] = head * c + (j < c ? j : channels + j - c);
  }
  pack_1x1(w_qkv, channels, order, 2 * channels, gamma1, beta1, qk.w, qk_bias);
  pack_depthwise(w_dw, order, 2 * channels, qk_dw);
  for (int i = 0; i < 4 * channels; ++i) order[i] = i;
  pack_1x1(w_expand, channels, order, 4 * channels, gamma2, beta2, ffn.w, ffn_bias);
  pack_depthwise(w_ffn_dw, order, 4 * channels, ffn_dw);
  halve(ffn_dw + 2 * channels * 9, 2 * channels * 9);
  transpose(w_out, 2 * channels, channels, ffn_out.w);
  std::memcpy(temperature, w_temperature, a.heads * sizeof(float));
  std::memcpy(project, w_project, channels * channels * sizeof(float));
  *out = {v.packed(), qk.packed(), ffn.packed(), ffn_out.packed(), v_bias,      v_dw,
          qk_bias,    qk_dw,       ffn_bias,     ffn_dw,           temperature, project};
}

void fill_fusion(Arena& arena, const ptn_arch& a, Tensors* tensors, Weights* w) {
  const int channels = a.channels;
  if (a.fusion == PTN_FUSION_ENHANCED_CONV) {
    const FoldedMemory fuse1(arena, channels + 1, channels), fuse2(arena, channels, channels);
    if (!tensors) return;
    const float* w1 = tensors->get("fusion", ".conv1.weight", channels * (channels + 1) * 9);
    const float* w2 = tensors->get("fusion", ".conv2.weight", channels * channels * 9);
    if (!tensors->ok()) return;
    w->fuse1 = fuse1.packed(w1);
    w->fuse2 = fuse2.packed(w2);
    return;
  }
  if (a.fusion == PTN_FUSION_CONV1X1) {
    const PanelMemory fuse(arena, 1, channels + 1, channels);
    if (!tensors) return;
    const float* w1 = tensors->get("fusion", ".conv.weight", channels * (channels + 1));
    if (!tensors->ok()) return;
    transpose(w1, channels + 1, channels, fuse.w);
    w->fuse = fuse.packed();
    return;
  }
  const PanelMemory gate(arena, 1, channels + 1, 2 * channels);
  const PanelMemory gate_out(arena, 1, channels, channels);
  auto* gate_dw = arena.take<float>(2 * channels * 9);
  if (!tensors) return;
  const float* expand = tensors->get("fusion", ".expand.weight", 2 * channels * (channels + 1));
  const float* dw = tensors->get("fusion", ".dw.weight", 2 * channels * 9);
  const float* project = tensors->get("fusion", ".project.weight", channels * channels);
  if (!tensors->ok()) return;
  transpose(expand, channels + 1, 2 * channels, gate.w);
  std::memcpy(gate_dw, dw, 2 * channels * 9 * sizeof(float));
  halve(gate_dw + channels * 9, channels * 9);
  transpose(project, channels, channels, gate_out.w);
  w->gate = gate.packed();
  w->gate_dw = gate_dw;
  w->gate_out = gate_out.packed();
}

// With tensors == nullptr only the arena is advanced.
void lay_out(Arena& arena, const ptn_arch& a, Tensors* tensors, ptn_model** out) {
  auto* model = arena.take<ptn_model>(1);
  Weights w{};
  w.arch = a;
  auto* blocks = arena.take<BlockWeights>(w.blocks_total());
  w.blocks = blocks;
  const int channels = a.channels;
  const PanelMemory head(arena, 3, a.bands, 3 * channels), output(arena, 3, channels, 3 * a.bands);
  const FoldedMemory refine(arena, channels, channels);
  for (int i = 0; i < w.blocks_total(); ++i) {
    char prefix[32];
    const bool body = i >= a.encoder_blocks;
    std::snprintf(prefix, sizeof prefix, "%s.%d", body ? "body" : "encoder",
                  body ? i - a.encoder_blocks : i);
    fill_block(arena, a, prefix, tensors, tensors ? blocks + i : nullptr);
  }
  fill_fusion(arena, a, tensors, &w);
  if (!tensors) return;
  const float* w_head = tensors->get("head", ".weight", channels * a.bands * 9);
  const float* w_refine = tensors->get("refine", ".weight", channels * channels * 9);
  const float* w_output = tensors->get("output", ".weight", a.bands * channels * 9);
  if (!tensors->ok()) return;
  pack_3x3(w_head, a.bands, channels, head.w);
  pack_3x3(w_output, channels, a.bands, output.w);
  w.head = head.packed();
  w.refine = refine.packed(w_refine);
  w.output = output.packed();
  model->weights = w;
  *out = model;
}

}  // namespace

bool arch_supported(const ptn_arch& a) {
  return a.bands >= 1 && a.bands <= PTN_MAX_BANDS && a.channels >= 2 && a.channels <= 64 &&
         a.channels % 2 == 0 && a.heads >= 1 && a.channels % a.heads == 0 &&
         a.encoder_blocks >= 1 && a.encoder_blocks <= 64 && a.body_blocks >= 1 &&
         a.body_blocks <= 64 && a.fusion >= PTN_FUSION_CONV1X1 &&
         a.fusion <= PTN_FUSION_ENHANCED_CONV && 2 * (a.channels / a.heads) <= a.channels;
}

size_t model_bytes(const ptn_arch& arch) {
  Arena arena;
  lay_out(arena, arch, nullptr, nullptr);
  return arena.used();
}

ptn_status model_fill(const ptn_arch& arch, const ptn_tensor* tensors, int count, void* memory,
                      ptn_model** out) {
  Arena arena(memory);
  Tensors found(tensors, count);
  *out = nullptr;
  lay_out(arena, arch, &found, out);
  return found.ok() ? PTN_OK : PTN_ERR_SHAPE;
}

}  // namespace pantiny
