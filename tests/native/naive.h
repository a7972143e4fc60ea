// The whole network as kernels/*/README.md describe it, layer by layer on whole images. T =
// double is the truth, T = float shows what rounding does to it.
#pragma once

#include <map>
#include <string>

#include "naive_grid.h"

namespace naive {

using Tensors = std::map<std::string, std::vector<float>>;

// Error of the kernels' GELU (csrc/simd/vec.h), added with alternating sign when T is float.
constexpr float kGeluError = 6e-7f;

template <class T>
class Network {
 public:
  Network(const ptn_arch& arch, const Tensors& tensors) : arch_(arch), tensors_(tensors) {}

  // ms_up [K], pan [1]: network values, zero where not valid. Returns fused [K].
  Image<T> run(const Image<T>& ms_up, const Image<T>& pan, const Mask& valid) {
    valid_ = &valid;
    Image<T> x = masked(convolve(ms_up, "head.weight", arch_.channels, 3));
    for (int i = 0; i < arch_.encoder_blocks; ++i) x = block(x, "encoder." + std::to_string(i));
    x = fuse(x, pan);
    for (int i = 0; i < arch_.body_blocks; ++i) x = block(x, "body." + std::to_string(i));
    x = masked(convolve(x, "refine.weight", arch_.channels, 3));
    Image<T> fused = convolve(x, "output.weight", arch_.bands, 3);
    // sum |w x| of the last product, for the bound of its rounding
    for (T& v : x.v) v = std::fabs(v);
    std::vector<float> magnitude = weight("output.weight");
    for (float& w : magnitude) w = std::fabs(w);
    const Image<T> sums = convolve(x, magnitude, arch_.bands, 3);
    for (T v : sums.v) largest_sum_ = std::max(largest_sum_, static_cast<double>(v));
    for (size_t i = 0; i < fused.v.size(); ++i) fused.v[i] += ms_up.v[i];
    return masked(fused);
  }

  double largest_sum() const { return largest_sum_; }

 private:
  const std::vector<float>& weight(const std::string& name) const { return tensors_.at(name); }

  Image<T> masked(Image<T> x) const {
    for (int64_t c = 0; c < x.c; ++c)
      for (int64_t i = 0; i < x.h * x.w; ++i)
        if (!(*valid_)[static_cast<size_t>(i)]) x.v[static_cast<size_t>(c * x.h * x.w + i)] = 0;
    return x;
  }

  static void add_row(const T* from, T w, int64_t shift, int64_t width, T* to) {
    const int64_t end = std::min(width, width - shift);
    for (int64_t x = std::max<int64_t>(0, -shift); x < end; ++x) to[x] += w * from[x + shift];
  }

  // w [outputs][inputs][size][size]; zeros outside the image.
  static Image<T> convolve(const Image<T>& x, const std::vector<float>& w, int64_t outputs,
                           int64_t size, bool depthwise = false) {
    Image<T> y(outputs, x.h, x.w);
    const int64_t inputs = depthwise ? 1 : x.c, reach = size / 2;
    size_t at = 0;
    for (int64_t o = 0; o < outputs; ++o)
      for (int64_t i = 0; i < inputs; ++i)
        for (int64_t dy = -reach; dy <= reach; ++dy)
          for (int64_t dx = -reach; dx <= reach; ++dx, ++at)
            for (int64_t row = std::max<int64_t>(0, -dy); row < std::min(x.h, x.h - dy); ++row)
              add_row(x.row(depthwise ? o : i, row + dy), static_cast<T>(w.at(at)), dx, x.w,
                      y.row(o, row));
    return y;
  }

  Image<T> convolve(const Image<T>& x, const std::string& name, int64_t outputs, int64_t size,
                    bool depthwise = false) const {
    return convolve(x, weight(name), outputs, size, depthwise);
  }

  Image<T> norm(const Image<T>& x, const std::string& name) const {
    const std::vector<float>&gain = weight(name + ".weight"), &bias = weight(name + ".bias");
    Image<T> y(x.c, x.h, x.w);
    for (int64_t row = 0; row < x.h; ++row)
      for (int64_t col = 0; col < x.w; ++col) {
        T mean = 0, variance = 0;
        for (int64_t c = 0; c < x.c; ++c) mean += x.at(c, row, col);
        mean /= static_cast<T>(x.c);
        for (int64_t c = 0; c < x.c; ++c) {
          const T d = x.at(c, row, col) - mean;
          variance += d * d / static_cast<T>(x.c);
        }
        for (int64_t c = 0; c < x.c; ++c)
          y.at(c, row, col) = (x.at(c, row, col) - mean) / std::sqrt(variance + T(1e-5)) *
                                  gain[static_cast<size_t>(c)] +
                              bias[static_cast<size_t>(c)];
      }
    return y;
  }

  T gelu(T x) {
    const T exact = T(0.5) * x * std::erfc(-x * T(0.70710678118654752));
    if (sizeof(T) == sizeof(double)) return exact;
    odd_ = !odd_;
    return exact + static_cast<T>(odd_ ? kGeluError : -kGeluError);
  }

  // gelu(a) * b of the first and the second half of the channels
  Image<T> gate(const Image<T>& ab) {
    Image<T> y(ab.c / 2, ab.h, ab.w);
    for (size_t i = 0; i < y.v.size(); ++i) y.v[i] = gelu(ab.v[i]) * ab.v[y.v.size() + i];
    return y;
  }

  static Image<T> part(const Image<T>& x, int64_t first, int64_t count) {
    Image<T> y(count, x.h, x.w);
    std::copy_n(x.row(first, 0), y.v.size(), y.v.begin());
    return y;
  }

  static Image<T> sum(Image<T> a, const Image<T>& b) {
    for (size_t i = 0; i < a.v.size(); ++i) a.v[i] += b.v[i];
    return a;
  }

  static double dot(const Image<T>& a, int64_t i, const Image<T>& b, int64_t j) {
    double s = 0;
    for (int64_t n = 0; n < a.h * a.w; ++n)
      s += static_cast<double>(a.row(i, 0)[n]) * static_cast<double>(b.row(j, 0)[n]);
    return s;
  }

  // Channels of v mixed by softmax(temperature * q k^T / (|q| |k|)), head by head.
  Image<T> attention(const Image<T>& q, const Image<T>& k, const Image<T>& v,
                     const std::vector<float>& temperature) const {
    const int64_t c = q.c / arch_.heads;
    Image<T> y(v.c, v.h, v.w);
    for (int64_t i = 0; i < q.c; ++i) {
      const int64_t first = i / c * c;
      std::vector<double> a(static_cast<size_t>(c));
      double total = 0;
      for (int64_t j = 0; j < c; ++j) {
        const double norms = std::max(std::sqrt(dot(q, i, q, i)), 1e-12) *
                             std::max(std::sqrt(dot(k, first + j, k, first + j)), 1e-12);
        const double logit =
            temperature[static_cast<size_t>(i / c)] * dot(q, i, k, first + j) / norms;
        total += a[static_cast<size_t>(j)] = std::exp(logit);  // |logit| <= temperature
      }
      for (int64_t j = 0; j < c; ++j)
        add_row(v.row(first + j, 0), static_cast<T>(a[static_cast<size_t>(j)] / total), 0,
                v.h * v.w, y.row(i, 0));
    }
    return y;
  }

  Image<T> block(const Image<T>& x, const std::string& name) {
    const int64_t c = x.c;
    Image<T> qkv = convolve(norm(x, name + ".norm1"), name + ".attention.qkv.weight", 3 * c, 1);
    qkv = masked(convolve(masked(qkv), name + ".attention.qkv_dw.weight", 3 * c, 3, true));
    const Image<T> mixed = attention(part(qkv, 0, c), part(qkv, c, c), part(qkv, 2 * c, c),
                                     weight(name + ".attention.temperature"));
    const Image<T> z = masked(sum(x, convolve(mixed, name + ".attention.project.weight", c, 1)));
    Image<T> ab = convolve(norm(z, name + ".norm2"), name + ".ffn.expand.weight", 4 * c, 1);
    ab = convolve(masked(ab), name + ".ffn.dw.weight", 4 * c, 3, true);
    return masked(sum(z, convolve(gate(ab), name + ".ffn.project.weight", c, 1)));
  }

  Image<T> fuse(const Image<T>& x, const Image<T>& pan) {
    const int64_t c = x.c;
    Image<T> xp(c + 1, x.h, x.w);
    std::copy(x.v.begin(), x.v.end(), xp.v.begin());
    std::copy(pan.v.begin(), pan.v.end(), xp.row(c, 0));
    xp = masked(xp);
    if (arch_.fusion == PTN_FUSION_CONV1X1) return masked(convolve(xp, "fusion.conv.weight", c, 1));
    if (arch_.fusion == PTN_FUSION_ENHANCED_CONV) {
      Image<T> y = convolve(xp, "fusion.conv1.weight", c, 3);
      for (T& v : y.v) v = std::max(v, T{0});
      return masked(convolve(masked(y), "fusion.conv2.weight", c, 3));
    }
    const Image<T> ab = masked(convolve(xp, "fusion.expand.weight", 2 * c, 1));
    return masked(convolve(gate(convolve(ab, "fusion.dw.weight", 2 * c, 3, true)),
                           "fusion.project.weight", c, 1));
  }

  ptn_arch arch_;
  const Tensors& tensors_;
  const Mask* valid_ = nullptr;
  double largest_sum_ = 0;
  bool odd_ = false;
};

}  // namespace naive
