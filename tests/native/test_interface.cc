// Every status code, from every function that returns it: what is refused, and that what is
// legal is not.
#include <algorithm>
#include <cstring>
#include <functional>
#include <limits>

#include "check.h"
#include "fixture.h"
#include "header.h"

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr int64_t kHuge = std::numeric_limits<int64_t>::max();

const ptn_arch kArch = arch_of(3, 6, 3, 1, 1, PTN_FUSION_ENHANCED_CONV);

void test_basics() {
  g_context = "basics";
  CHECK_EQ(ptn_abi_version(), PTN_ABI_VERSION);
  std::vector<std::string> texts;
  for (int status = PTN_OK; status <= PTN_ERR_CUDA; ++status) {
    texts.push_back(ptn_status_text(static_cast<ptn_status>(status)));
    CHECK(!texts.back().empty());
    for (size_t i = 0; i + 1 < texts.size(); ++i) CHECK(texts[i] != texts.back());
  }
  const size_t sizes[] = {sizeof(ptn_arch),  sizeof(ptn_tensor), sizeof(ptn_scene),
                          sizeof(ptn_input), sizeof(ptn_output), sizeof(ptn_rows)};
  for (int i = 0; i < 6; ++i) CHECK_EQ(c_size_of(i), sizes[i]);
  CHECK_EQ(c_calls(), 0);
  CHECK_EQ(ptn_model_passes(nullptr), 0);
}

void test_isa() {
  g_context = "isa";
  const std::vector<std::string> usable = usable_isas();
#ifdef __aarch64__
  const std::string least = "neon";
#else
  const std::string least = "baseline";
#endif
  // "wide" is a shape, not a processor: it comes with these tests and after the least
  CHECK(!usable.empty() && (usable.back() == least || usable.back() == "wide"));
  CHECK(std::find(usable.begin(), usable.end(), least) != usable.end());
  for (const std::string& name : usable) {
    CHECK_EQ(ptn_isa_choose(name.c_str()), PTN_OK);
    CHECK(name == ptn_isa());
    for (const char* unknown : {"sse9", "AVX2", "avx", "baseline ", " "}) {
      CHECK_EQ(ptn_isa_choose(unknown), PTN_ERR_ISA);
      CHECK(name == ptn_isa());
    }
  }
  for (const char* best : {static_cast<const char*>(nullptr), "", "auto"}) {
    CHECK_EQ(ptn_isa_choose(least.c_str()), PTN_OK);
    CHECK_EQ(ptn_isa_choose(best), PTN_OK);
    CHECK(usable.front() == ptn_isa());
  }
}

void test_arch() {
  g_context = "arch";
  size_t bytes = 0;
  CHECK_EQ(ptn_model_bytes(nullptr, &bytes), PTN_ERR_ARGUMENT);
  CHECK_EQ(ptn_model_bytes(&kArch, nullptr), PTN_ERR_ARGUMENT);
  const ptn_arch good[] = {kArch, arch_of(8, 64, 2, 1, 1, 0), arch_of(1, 2, 2, 1, 1, 1),
                           arch_of(4, 64, 64, 64, 64, 2)};
  for (const ptn_arch& arch : good) CHECK_EQ(ptn_model_bytes(&arch, &bytes), PTN_OK);
  const ptn_arch bad[] = {
      arch_of(0, 6, 3, 1, 1, 2),  arch_of(9, 6, 3, 1, 1, 2),    arch_of(3, 0, 3, 1, 1, 2),
      arch_of(3, -6, 3, 1, 1, 2), arch_of(3, 9, 3, 1, 1, 2),    arch_of(3, 66, 3, 1, 1, 2),
      arch_of(3, 6, 0, 1, 1, 2),  arch_of(3, 6, 1, 1, 1, 2),    arch_of(3, 6, 4, 1, 1, 2),
      arch_of(3, 6, -2, 1, 1, 2), arch_of(3, 6, 3, 0, 1, 2),    arch_of(3, 6, 3, 1, 0, 2),
      arch_of(3, 6, 3, 99, 1, 2), arch_of(3, 6, 3, 1, 1000, 2), arch_of(3, 6, 3, 1, 1, -1),
      arch_of(3, 6, 3, 1, 1, 3)};
  ptn_tensor none{};
  ptn_model* model = nullptr;
  const Memory memory(64, 0);
  for (const ptn_arch& arch : bad) {
    CHECK_EQ(ptn_model_bytes(&arch, &bytes), PTN_ERR_UNSUPPORTED);
    CHECK_EQ(ptn_model_create(&arch, &none, 0, memory.get(), 64, &model), PTN_ERR_UNSUPPORTED);
  }
}

void test_model() {
  g_context = "model";
  for (int fusion = 0; fusion < 3; ++fusion) {
    ptn_arch arch = kArch;
    arch.fusion = fusion;
    const naive::Tensors tensors = random_tensors(arch, 1);
    const std::vector<ptn_tensor> list = tensor_list(tensors);
    const auto count = static_cast<int32_t>(list.size());
    size_t bytes = 0;
    CHECK_EQ(ptn_model_bytes(&arch, &bytes), PTN_OK);
    const Memory memory(bytes + 64, 0xFF);
    void* m = memory.get();
    ptn_model* model = nullptr;
    CHECK_EQ(ptn_model_create(nullptr, list.data(), count, m, bytes, &model), PTN_ERR_ARGUMENT);
    CHECK_EQ(ptn_model_create(&arch, nullptr, count, m, bytes, &model), PTN_ERR_ARGUMENT);
    CHECK_EQ(ptn_model_create(&arch, list.data(), -1, m, bytes, &model), PTN_ERR_ARGUMENT);
    CHECK_EQ(ptn_model_create(&arch, list.data(), count, nullptr, bytes, &model), PTN_ERR_ARGUMENT);
    CHECK_EQ(ptn_model_create(&arch, list.data(), count, m, bytes, nullptr), PTN_ERR_ARGUMENT);
    CHECK_EQ(ptn_model_create(&arch, list.data(), count, m, bytes - 1, &model), PTN_ERR_WORKSPACE);
    CHECK_EQ(ptn_model_create(&arch, list.data(), count, m, 0, &model), PTN_ERR_WORKSPACE);
    for (int shift : {1, 4, 32})
      CHECK_EQ(
          ptn_model_create(&arch, list.data(), count, static_cast<char*>(m) + shift, bytes, &model),
          PTN_ERR_WORKSPACE);
    CHECK_EQ(ptn_model_create(&arch, list.data(), 0, m, bytes, &model), PTN_ERR_SHAPE);
    for (size_t i = 0; i < list.size(); ++i) {
      g_context = std::string("model ") + list[i].name;
      std::vector<ptn_tensor> changed = list;
      auto status = [&] {
        const ptn_status s = ptn_model_create(&arch, changed.data(), count, m, bytes, &model);
        CHECK(s == PTN_OK || model == nullptr);
        return s;
      };
      for (int64_t size : {list[i].size + 1, list[i].size - 1, int64_t{0}, int64_t{-1}}) {
        changed[i].size = size;
        CHECK_EQ(status(), PTN_ERR_SHAPE);
      }
      changed[i] = {list[i].name, nullptr, list[i].size};
      CHECK_EQ(status(), PTN_ERR_SHAPE);
      changed[i] = {"another", list[i].data, list[i].size};
      CHECK_EQ(status(), PTN_ERR_SHAPE);
      changed[i].name = nullptr;
      CHECK_EQ(status(), PTN_ERR_ARGUMENT);
    }
    g_context = "model";
    std::vector<ptn_tensor> more = list;  // what is not asked for does not matter
    more.insert(more.begin(), {"another", nullptr, 0});
    CHECK_EQ(ptn_model_create(&arch, more.data(), count + 1, m, bytes, &model), PTN_OK);
    CHECK_EQ(ptn_model_passes(model), 3);
    CHECK(memory.intact());
  }
}

void test_scene() {
  g_context = "scene";
  const Model model(kArch, random_tensors(kArch, 1));
  const Pair pair = random_pair(3, 70, 90, 4, 100, 1);
  const ptn_scene good = scene_of(pair, 2);
  size_t bytes = 0;
  CHECK_EQ(ptn_plan_bytes(nullptr, &good, &bytes), PTN_ERR_ARGUMENT);
  CHECK_EQ(ptn_plan_bytes(model.get(), nullptr, &bytes), PTN_ERR_ARGUMENT);
  CHECK_EQ(ptn_plan_bytes(model.get(), &good, nullptr), PTN_ERR_ARGUMENT);

  int line = 0;
  auto refused = [&](const std::function<void(ptn_scene*)>& change) {
    ptn_scene s = good;
    change(&s);
    g_context = "scene, change " + std::to_string(++line);
    CHECK_EQ(ptn_plan_bytes(model.get(), &s, &bytes), PTN_ERR_ARGUMENT);
    ptn_plan* plan = nullptr;
    const Memory memory(64, 0);
    CHECK_EQ(ptn_plan_create(model.get(), &s, memory.get(), 64, &plan), PTN_ERR_ARGUMENT);
    CHECK(plan == nullptr);
  };
  for (int64_t v : {int64_t{0}, int64_t{-1}, kHuge, int64_t{1} << 31}) {
    refused([=](ptn_scene* s) { s->height = v; });
    refused([=](ptn_scene* s) { s->width = v; });
    refused([=](ptn_scene* s) { s->ms_height = v; });
    refused([=](ptn_scene* s) { s->ms_width = v; });
  }
  refused([](ptn_scene* s) { s->height = s->width = (int64_t{1} << 31) - 1; });
  for (double v : {kNan, kInfinity, -kInfinity, 0.0, -0.25, 0.04, 1.01}) {
    refused([=](ptn_scene* s) { s->scale_y = v; });
    refused([=](ptn_scene* s) { s->scale_x = v; });
  }
  for (double v : {kNan, kInfinity, -kInfinity, 1e300, -1e12}) {
    refused([=](ptn_scene* s) { s->offset_y = v; });
    refused([=](ptn_scene* s) { s->offset_x = v; });
  }
  for (double v : {kNan, kInfinity, 0.0, -1.0, 1e300, 1e-300})
    refused([=](ptn_scene* s) { s->dn_per_unit = v; });
  for (double v : {kNan, 0.0, 1.0, -0.3, kInfinity})
    for (int k : {0, 2}) refused([=](ptn_scene* s) { s->gains[k] = v; });
  for (int v : {-1, 9, 1 << 30}) refused([=](ptn_scene* s) { s->consistency = v; });
  for (int v : {-1, 0, 1 << 20}) refused([=](ptn_scene* s) { s->threads = v; });
  for (int v : {-1, 2}) refused([=](ptn_scene* s) { s->storage = v; });
  for (int64_t v : {int64_t{0}, int64_t{-64}, int64_t{63}, int64_t{65}, kHuge / 64 * 64}) {
    refused([=](ptn_scene* s) { s->tile_rows = v; });
    refused([=](ptn_scene* s) { s->tile_cols = v; });
    refused([=](ptn_scene* s) { s->band_rows = v; });
  }

  g_context = "scene, legal";
  auto accepted = [&](const std::function<void(ptn_scene*)>& change) {
    ptn_scene s = good;
    change(&s);
    CHECK_EQ(ptn_plan_bytes(model.get(), &s, &bytes), PTN_OK);
    CHECK(bytes > 0);
  };
  accepted([](ptn_scene*) {});
  accepted([](ptn_scene* s) { s->gains[3] = kNan; });  // of a band the network does not have
  accepted([](ptn_scene* s) {
    s->consistency = 0;
    s->gains[0] = 0;
  });
  accepted([](ptn_scene* s) { s->offset_y = s->offset_x = -1000; });
  accepted([](ptn_scene* s) { s->tile_rows = s->tile_cols = s->band_rows = 1 << 20; });
  accepted([](ptn_scene* s) { s->height = s->width = 1 << 20; });
  const size_t keep = bytes;
  accepted([](ptn_scene* s) {
    s->height = s->width = 1 << 20;
    s->storage = PTN_RECOMPUTE;
  });
  CHECK(bytes < keep / 100);

  g_context = "plan memory";
  CHECK_EQ(ptn_plan_bytes(model.get(), &good, &bytes), PTN_OK);
  const Memory memory(bytes + 64, 0xFF);
  void* m = memory.get();
  ptn_plan* plan = nullptr;
  CHECK_EQ(ptn_plan_create(nullptr, &good, m, bytes, &plan), PTN_ERR_ARGUMENT);
  CHECK_EQ(ptn_plan_create(model.get(), nullptr, m, bytes, &plan), PTN_ERR_ARGUMENT);
  CHECK_EQ(ptn_plan_create(model.get(), &good, nullptr, bytes, &plan), PTN_ERR_ARGUMENT);
  CHECK_EQ(ptn_plan_create(model.get(), &good, m, bytes, nullptr), PTN_ERR_ARGUMENT);
  CHECK_EQ(ptn_plan_create(model.get(), &good, m, bytes - 1, &plan), PTN_ERR_WORKSPACE);
  for (int shift : {1, 8, 32})
    CHECK_EQ(ptn_plan_create(model.get(), &good, static_cast<char*>(m) + shift, bytes, &plan),
             PTN_ERR_WORKSPACE);
  CHECK(plan == nullptr);
  CHECK_EQ(ptn_plan_create(model.get(), &good, m, bytes, &plan), PTN_OK);
  CHECK(plan != nullptr);
}

}  // namespace

void test_interface() {
  test_basics();
  test_isa();
  test_arch();
  test_model();
  test_scene();
}
