#include <algorithm>
#include <cmath>
#include <numeric>

#include "csrc/cuda/memory.h"
#include "csrc/cuda/plan.h"
#include "csrc/cuda/scan.h"

namespace pantiny {
namespace cuda {

namespace {

// Kept features move up so many rows a pass: a band overwrites none that the next one reads.
constexpr int64_t kShift = 4;

// Rows around a band that its pass reads of the pair, or of kept features.
int64_t network_halo(const ptn_arch& a, bool keep, int pass) {
  const int blocks = a.encoder_blocks + a.body_blocks;
  constexpr int kStatistics = 1, kApply = 1, kFuse = 2, kTail = 2, kHead = 1;
  if (keep && pass > 0) {
    if (pass == blocks) return kApply + kTail;
    return kApply + (pass == a.encoder_blocks ? kFuse : 0) + kStatistics;
  }
  const int applied = std::min(pass, blocks - 1);
  const int sums = kHead + kStatistics + applied * (kApply + kStatistics) +
                   (pass >= a.encoder_blocks ? kFuse : 0);
  return pass == blocks ? sums + kApply + kTail : sums;
}

// Rows that back-projection may need beyond a band.
int64_t reach(const ptn_cuda_scene& s, int bands) {
  if (!s.consistency) return 0;
  const auto taps = static_cast<int64_t>(std::ceil(4 / s.scale_y));
  return s.consistency * (taps + radius_of(s, bands) + 3);
}

struct Rows {
  int64_t first, last;
};

// MS rows that PAN rows are corrected with; none if all lie beyond the MS grid.
Rows ms_rows(const Axis& axis, Rows pan) {
  const int64_t first = cubic_taps(axis, pan.first).first;
  const int64_t last = cubic_taps(axis, pan.last - 1).first + 3;
  if (first >= axis.ms_size || last < 0) return {0, 0};
  return {clamp_to(first, axis.ms_size), clamp_to(last, axis.ms_size) + 1};
}

// PAN rows that must be right before back-projection so that `rows` are after it.
Rows before_correction(const ptn_cuda_scene& s, int bands, Rows rows) {
  const Axis axis = rows_of(s);
  const int radius = radius_of(s, bands);
  auto first_of = [&](int64_t ms_row) {
    const double centre = (static_cast<double>(ms_row) + 0.5 - s.offset_y) / s.scale_y - 0.5;
    return static_cast<int64_t>(std::floor(centre)) - radius;
  };
  for (int step = 0; step < s.consistency; ++step) {
    const Rows ms = ms_rows(axis, rows);
    if (ms.first == ms.last) break;
    const int64_t last = first_of(ms.last - 1) + gaussian_tap_count(radius);
    rows = {std::max<int64_t>(0, std::min(rows.first, first_of(ms.first))),
            std::min(s.height, std::max(rows.last, last))};
  }
  return rows;
}

// Rows of the image that a band is run as.
Rows image_rows(const ptn_cuda_scan& p, int pass, Rows band) {
  const ptn_arch& a = p.model->network.arch;
  const bool last = pass == blocks_of(*p.model);
  if (last) band = before_correction(p.scene, a.bands, band);
  const int64_t halo = network_halo(a, p.bands.keep != 0, pass);
  const Rows limits = p.bands.keep ? Rows{p.bands.first, p.bands.last} : Rows{0, p.scene.height};
  const int64_t first = std::max(limits.first, band.first - halo);
  const int64_t tile = last ? 1 : tiles_of(*p.model, geometry_of(*p.model, p.scene), pass).height;
  return {first / tile * tile, std::min(limits.last, band.last + halo)};
}

int64_t rows_of_tiles(const ptn_cuda_model& m, const ptn_cuda_scene& s, int block) {
  return tiles_of(m, geometry_of(m, s), block).down;
}

// The largest image, without its images.
Scene largest(const ptn_cuda_model& m, const ptn_cuda_scene& s, const ptn_cuda_bands& bands) {
  const int64_t wanted = bands.rows + 2 * scan_margin(m, s) + scan_step(m, s);
  Scene scene = geometry_of(m, s);
  scene.height = static_cast<int>(std::min(s.height, wanted));
  const auto coarse = static_cast<int64_t>(std::ceil(scene.height * s.scale_y)) + 8;
  scene.ms_count = static_cast<int>(std::min(s.ms_height, coarse));
  return scene;
}

size_t row_bytes(const ptn_cuda_model& m, const Scene& scene) {  // of a plane
  Scene row = scene;
  row.height = 1;
  const ptn_arch& a = m.network.arch;
  return m.segments->feature_bytes(a, row) / static_cast<size_t>(m.segments->planes(a));
}

size_t lay_out(void* memory, const ptn_cuda_model& m, const ptn_cuda_scene& s,
               const ptn_cuda_bands& bands, ptn_cuda_scan* p) {
  Arena arena(memory);
  const ptn_arch& a = m.network.arch;
  const Scene scene = largest(m, s, bands);
  p->rows = scene.height;
  p->tables = take_tables(arena, s, a.bands);
  const int64_t rows =
      std::max(rows_of_tiles(m, s, 0), rows_of_tiles(m, s, 1));  // both kinds of sums
  p->space = take_workspace(arena, m, scene, std::max(rows, rows_of_tiles(m, s, a.encoder_blocks)),
                            s.consistency > 0);
  if (bands.keep) {
    p->kept_rows = bands.last - bands.first + kShift * (blocks_of(m) - 1);
    for (char*& kept : p->kept)
      kept = arena.take<char>(static_cast<size_t>(p->kept_rows) * m.segments->planes(a) *
                              row_bytes(m, scene));
  }
  return arena.used();
}

size_t sample_bytes(int dtype) {
  return dtype == PTN_U8 ? 1 : dtype == PTN_F32 ? sizeof(float) : sizeof(uint16_t);
}

// One run of a band.
class Band {
 public:
  Band(const ptn_cuda_scan& scan, int pass, Rows rows, Stream stream)
      : p_(scan), pass_(pass), rows_(rows), image_(image_rows(scan, pass, rows)), stream_(stream) {}

  bool fits() const { return image_.last - image_.first <= p_.rows; }

  Scene scene(const ptn_cuda_input& in, int64_t pan_first) const {
    Scene s = geometry_of(*p_.model, p_.scene);
    s.height = static_cast<int>(image_.last - image_.first);
    s.first_row = image_.first;
    const Rows ms = ms_rows(rows_of(p_.scene), image_);
    s.ms_first = static_cast<int>(ms.first);
    s.ms_count = static_cast<int>(ms.last - ms.first);
    const int64_t above = image_.first - pan_first;
    s.ms = samples_of(in.ms);
    s.pan = samples_of(in.pan);
    s.pan.data = static_cast<const char*>(s.pan.data) +
                 above * s.pan.row_stride * static_cast<int64_t>(sample_bytes(s.pan.dtype));
    std::copy_n(in.ms_bands, PTN_MAX_BANDS, s.ms_bands);
    s.valid = mask_of(in.valid);
    if (s.valid.data) s.valid.data += above * s.valid.row_stride;
    s.ms_valid = mask_of(in.ms_valid);
    s.rows = p_.tables.rows + image_.first;
    s.columns = p_.tables.columns;
    s.units_per_dn = p_.space.units_per_dn;
    return s;
  }

  ptn_status run(const Scene& scene, const ptn_cuda_input& in, const ptn_cuda_output* out) {
    Steps steps(*p_.model, scene, p_.space, stream_);
    const int last = blocks_of(*p_.model);
    PTN_TRY(steps.units(in.device_dn_per_unit));
    const bool kept = p_.bands.keep && pass_ > 0;
    const int known = kept ? pass_ - 1 : 0;
    if (kept) {
      PTN_TRY(copy_kept(known, image_, steps.features(), scene.height, 0, true));
    } else {
      PTN_TRY(steps.head());
      PTN_TRY(steps.statistics(0));
    }
    for (int block = known; block < std::min(pass_, last - 1); ++block)
      PTN_TRY(steps.advance(block));
    const int64_t above = rows_.first - image_.first;
    if (pass_ == last) {
      PTN_TRY(steps.end());
      Output output = output_of(*out, in.device_dn_per_unit);
      output.first_row = static_cast<int>(above);
      output.rows = static_cast<int>(rows_.last - rows_.first);
      return steps.finish(gaussian_of(p_.scene, scene.bands, p_.tables), p_.scene.consistency,
                          output);
    }
    const int64_t tile = tiles_of(*p_.model, scene, pass_).height;
    PTN_TRY(steps.sum(pass_, above / tile, (rows_.last - rows_.first + tile - 1) / tile,
                      rows_.first / tile, rows_of_tiles(*p_.model, p_.scene, pass_)));
    if (!p_.bands.keep) return PTN_OK;
    return copy_kept(pass_, rows_, steps.features(), scene.height, above, false);
  }

 private:
  // Rows of the scene between the features of a pass and an image, from its row `at` on.
  ptn_status copy_kept(int pass, Rows rows, Features image, int64_t height, int64_t at, bool in) {
    const ptn_cuda_model& m = *p_.model;
    Scene wide = geometry_of(m, p_.scene);
    const auto row = static_cast<int64_t>(row_bytes(m, wide));
    const int64_t shift = kShift * (blocks_of(m) - 1 - pass);
    const auto bytes = static_cast<size_t>((rows.last - rows.first) * row);
    for (int which = 0; which < 2; ++which)
      for (int plane = 0; plane < m.segments->planes(m.network.arch); ++plane) {
        char* const kept =
            p_.kept[which] + (plane * p_.kept_rows + rows.first - p_.bands.first + shift) * row;
        char* const here =
            static_cast<char*>(which ? image.v : image.x) + (plane * height + at) * row;
        PTN_TRY(copy_on_device(in ? here : kept, in ? kept : here, bytes, stream_));
      }
    return PTN_OK;
  }

  const ptn_cuda_scan& p_;
  int pass_;
  Rows rows_, image_;
  Stream stream_;
};

}  // namespace

int64_t scan_step(const ptn_cuda_model& model, const ptn_cuda_scene& s) {
  const Scene scene = geometry_of(model, s);
  const Segments& seg = *model.segments;
  return std::lcm(seg.tiles(model.network.arch, scene, true).height,
                  seg.tiles(model.network.arch, scene, false).height);
}

int64_t scan_margin(const ptn_cuda_model& model, const ptn_cuda_scene& s) {
  const ptn_arch& a = model.network.arch;
  const int64_t step = scan_step(model, s);
  const int64_t rows = network_halo(a, false, blocks_of(model)) + reach(s, a.bands);
  return (rows + step - 1) / step * step;
}

bool scan_supported(const ptn_cuda_model& model, const ptn_cuda_scene& s, const ptn_cuda_bands& b) {
  if (!geometry_supported(model, s) || s.images != 1 || b.rows < 1) return false;
  const int64_t step = scan_step(model, s);
  auto aligned = [&](int64_t row) { return row % step == 0 || row == s.height; };
  if (b.rows % step != 0 && b.rows < s.height) return false;
  if (b.keep && (b.first < 0 || b.first >= b.last || b.last > s.height || !aligned(b.first) ||
                 !aligned(b.last)))
    return false;
  const Scene scene = largest(model, s, b);
  return scene.height <= kMaxRows && s.width <= kMaxPixels / scene.height &&
         scene.ms_count <= kMaxGridRows;
}

size_t scan_bytes(const ptn_cuda_model& model, const ptn_cuda_scene& scene,
                  const ptn_cuda_bands& bands) {
  ptn_cuda_scan scan{};
  return lay_out(nullptr, model, scene, bands, &scan);
}

ptn_status scan_place(const ptn_cuda_model& model, const ptn_cuda_scene& scene,
                      const ptn_cuda_bands& bands, void* memory, ptn_cuda_scan* out) {
  *out = {};
  out->model = &model;
  out->scene = scene;
  out->bands = bands;
  lay_out(memory, model, scene, bands, out);
  return place_tables(scene, model.network.arch.bands, out->tables);
}

bool scan_band_ok(const ptn_cuda_scan& p, int pass, int64_t y0, int64_t y1) {
  const int64_t step = scan_step(*p.model, p.scene);
  const Rows limits = p.bands.keep ? Rows{p.bands.first, p.bands.last} : Rows{0, p.scene.height};
  return pass >= 0 && pass <= blocks_of(*p.model) && y0 >= limits.first && y0 < y1 &&
         y1 <= limits.last && y0 % step == 0 && (y1 % step == 0 || y1 == p.scene.height) &&
         y1 - y0 <= p.bands.rows;
}

void scan_rows(const ptn_cuda_scan& scan, int pass, int64_t y0, int64_t y1, int64_t* first,
               int64_t* last) {
  const Rows rows = image_rows(scan, pass, {y0, y1});
  *first = rows.first;
  *last = rows.last;
}

ptn_status scan_run(const ptn_cuda_scan& scan, int pass, int64_t y0, int64_t y1,
                    const ptn_cuda_input& in, int64_t pan_first, const ptn_cuda_output* out,
                    Stream stream) {
  Band band(scan, pass, {y0, y1}, stream);
  if (!band.fits()) return PTN_ERR_WORKSPACE;
  return band.run(band.scene(in, pan_first), in, out);
}

void scan_sums(const ptn_cuda_scan& scan, int pass, int64_t y0, int64_t y1, double** sums,
               int64_t* count) {
  const int64_t tile = tiles_of(*scan.model, geometry_of(*scan.model, scan.scene), pass).height;
  const int64_t size = statistics_size(scan.model->network.arch);
  *sums = scan.space.sums + y0 / tile * size;
  *count = (y1 - y0 + tile - 1) / tile * size;
}

ptn_status scan_fold(const ptn_cuda_scan& scan, int pass, Stream stream) {
  const Scene scene = geometry_of(*scan.model, scan.scene);
  return Steps(*scan.model, scene, scan.space, stream)
      .fold(pass, rows_of_tiles(*scan.model, scan.scene, pass));
}

}  // namespace cuda
}  // namespace pantiny
