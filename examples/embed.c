/* Fuse a pair from C, without Python: all memory is ours, every call returns a status.
 *
 *     cc -std=c99 -Icsrc/include examples/embed.c libpantiny_core.a -lstdc++ -lgomp -lm
 *
 * A real program reads the tensors of a model file and the rows of its images; here both are
 * made up: random weights, and an MS of two flat halves under a PAN with a chequered one.
 */
#include <pantiny.h>
#include <stdio.h>
#include <stdlib.h>

enum { kBands = 3, kChannels = 6, kHeads = 3, kRatio = 4, kHeight = 96, kWidth = 128 };
enum { kMsHeight = kHeight / kRatio, kMsWidth = kWidth / kRatio };

static uint16_t ms[kBands][kMsHeight][kMsWidth], pan[kHeight][kWidth];
static uint16_t fused[kBands][kHeight][kWidth];
static char model_block[64 * 1024]; /* enough for this model; others come from malloc */

static void must(ptn_status status) {
  if (status == PTN_OK) return;
  fprintf(stderr, "embed: %s\n", ptn_status_text(status));
  exit(1);
}

/* 64-byte aligned start within a block of at least 64 bytes more. */
static void* aligned(void* block) { return (void*)(((uintptr_t)block + 63) / 64 * 64); }

typedef struct Tensors {
  int count;
  ptn_tensor list[32];
  char names[32][40];
} Tensors;

/* Names and sizes as in the model file; the values are made up. */
static void add(Tensors* t, const char* prefix, const char* name, int size) {
  static uint32_t state = 1;
  float* data = malloc(sizeof(float) * (size_t)size);
  if (!data) exit(1);
  for (int i = 0; i < size; ++i) {
    state = state * 1664525u + 1013904223u;
    data[i] = 0.2f * ((float)(state >> 8) / 16777216.0f - 0.5f);
  }
  snprintf(t->names[t->count], sizeof t->names[0], "%s.%s", prefix, name);
  t->list[t->count].name = t->names[t->count];
  t->list[t->count].data = data;
  t->list[t->count++].size = size;
}

static void add_block(Tensors* t, const char* prefix) {
  add(t, prefix, "norm1.weight", kChannels);
  add(t, prefix, "norm1.bias", kChannels);
  add(t, prefix, "attention.qkv.weight", 3 * kChannels * kChannels);
  add(t, prefix, "attention.qkv_dw.weight", 3 * kChannels * 9);
  add(t, prefix, "attention.temperature", kHeads);
  add(t, prefix, "attention.project.weight", kChannels * kChannels);
  add(t, prefix, "norm2.weight", kChannels);
  add(t, prefix, "norm2.bias", kChannels);
  add(t, prefix, "ffn.expand.weight", 4 * kChannels * kChannels);
  add(t, prefix, "ffn.dw.weight", 4 * kChannels * 9);
  add(t, prefix, "ffn.project.weight", 2 * kChannels * kChannels);
}

static const ptn_model* make_model(void) {
  const ptn_arch arch = {kBands, kChannels, kHeads, 1, 1, PTN_FUSION_CONV1X1};
  Tensors t = {.count = 0};
  size_t bytes;
  ptn_model* model;
  add(&t, "head", "weight", kChannels * kBands * 9);
  add_block(&t, "encoder.0");
  add(&t, "fusion", "conv.weight", kChannels * (kChannels + 1));
  add_block(&t, "body.0");
  add(&t, "refine", "weight", kChannels * kChannels * 9);
  add(&t, "output", "weight", kBands * kChannels * 9);
  must(ptn_model_bytes(&arch, &bytes));
  if (bytes + 64 > sizeof model_block) exit(1);
  must(ptn_model_create(&arch, t.list, t.count, aligned(model_block), bytes, &model));
  for (int i = 0; i < t.count; ++i) free((void*)t.list[i].data); /* the model holds its own */
  return model;
}

int main(void) {
  const ptn_model* model = make_model();
  for (int k = 0; k < kBands; ++k)
    for (int y = 0; y < kMsHeight; ++y)
      for (int x = 0; x < kMsWidth; ++x)
        ms[k][y][x] = (uint16_t)((x < kMsWidth / 2 ? 300 : 900) + 100 * k);
  for (int y = 0; y < kHeight; ++y)
    for (int x = 0; x < kWidth; ++x)
      pan[y][x] = (uint16_t)(x < kWidth / 2 ? 400 : 900 + 200 * ((y / 2 + x / 2) % 2));

  const ptn_scene scene = {
      .height = kHeight,
      .width = kWidth,
      .ms_height = kMsHeight,
      .ms_width = kMsWidth,
      .scale_y = 1.0 / kRatio, /* the grids share their corners: no offset */
      .scale_x = 1.0 / kRatio,
      .dn_per_unit = 2000, /* about twice the brightest MS pixel */
      .consistency = 2,
      .gains = {0.3, 0.3, 0.3},
      .threads = 1,
      .storage = PTN_KEEP,
      .tile_rows = PTN_BLOCK,
      .tile_cols = PTN_BLOCK,
      .band_rows = PTN_BLOCK,
  };

  size_t bytes;
  ptn_plan* plan;
  must(ptn_plan_bytes(model, &scene, &bytes));
  void* block = malloc(bytes + 64);
  if (!block) return 1;
  must(ptn_plan_create(model, &scene, aligned(block), bytes, &plan));
  for (int pass = 0; pass < ptn_model_passes(model); ++pass)
    for (int64_t y0 = 0; y0 < kHeight; y0 += scene.band_rows) {
      const int64_t y1 = y0 + scene.band_rows < kHeight ? y0 + scene.band_rows : kHeight;
      ptn_rows rows; /* what to read from a file; here the whole images are in memory */
      must(ptn_plan_input_rows(plan, pass, y0, y1, &rows));
      const ptn_input in = {
          .ms = ms[0][rows.ms_first],
          .ms_dtype = PTN_U16,
          .ms_first = rows.ms_first,
          .ms_rows = rows.ms_last - rows.ms_first,
          .ms_band_stride = kMsHeight * kMsWidth,
          .ms_row_stride = kMsWidth,
          .ms_col_stride = 1,
          .pan = pan[rows.pan_first],
          .pan_dtype = PTN_U16,
          .pan_first = rows.pan_first,
          .pan_rows = rows.pan_last - rows.pan_first,
          .pan_row_stride = kWidth,
          .pan_col_stride = 1,
      };
      const ptn_output out = {
          .fused = fused[0][y0],
          .dtype = PTN_U16,
          .band_stride = kHeight * kWidth,
          .row_stride = kWidth,
          .col_stride = 1,
          .high = 65535,
      };
      must(ptn_plan_run(plan, pass, y0, y1, &in, &out));
    }
  free(block);

  /* consistency: the mean of every band and half is that of the MS */
  for (int k = 0; k < kBands; ++k)
    for (int half = 0; half < 2; ++half) {
      double sum = 0;
      for (int y = 0; y < kHeight; ++y)
        for (int x = 0; x < kWidth / 2; ++x) sum += fused[k][y][half * kWidth / 2 + x];
      const double mean = sum / (kHeight * kWidth / 2), truth = ms[k][0][half * (kMsWidth - 1)];
      printf("band %d %s: mean %.1f, of the MS %.0f\n", k, half ? "right" : "left", mean, truth);
      if (mean < truth - 20 || mean > truth + 20) return 1;
    }
  printf("fused on %s\n", ptn_isa());
  return 0;
}
