// Which instruction set runs: the best usable one, unless one is chosen by name.
#include <atomic>
#include <cstring>

#include "csrc/cpu_table.h"

namespace pantiny {

#ifdef PTN_ARM
const CpuTable& cpu_table_neon();
#else
const CpuTable& cpu_table_baseline();
#endif
#ifdef PTN_X86
const CpuTable& cpu_table_avx2();
const CpuTable& cpu_table_avx512();
#endif

#ifdef PTN_TEST_WIDE
const CpuTable& cpu_table_wide();
#endif

namespace {

#ifdef PTN_X86
bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}
#endif

// Best first.
template <class Visit>
void each_usable(Visit&& visit) {
#ifdef PTN_X86
  if (has_avx512()) visit(cpu_table_avx512());
  if (has_avx2()) visit(cpu_table_avx2());
#endif
#ifdef PTN_ARM
  visit(cpu_table_neon());  // every 64-bit ARM has it
#else
  visit(cpu_table_baseline());
#endif
#ifdef PTN_TEST_WIDE
  if (has_avx2()) visit(cpu_table_wide());
#endif
}

std::atomic<const CpuTable*> chosen{nullptr};

const CpuTable& best() {
  const CpuTable* first = nullptr;
  each_usable([&](const CpuTable& t) { first = first ? first : &t; });
  return *first;
}

}  // namespace

const CpuTable& cpu_table() {
  const CpuTable* t = chosen.load(std::memory_order_acquire);
  return t ? *t : best();
}

bool cpu_bf16() {
  const CpuTable& table = cpu_table();
#ifdef PTN_X86
  if (&table == &cpu_table_avx512() && !table.bf16_emulated)
    return __builtin_cpu_supports("avx512bf16") != 0;
#endif
  return table.bf16;
}

const char* cpu_usable() {
  static const struct Names {
    char text[64] = "";
    Names() {
      each_usable([this](const CpuTable& t) {
        if (text[0]) std::strncat(text, " ", sizeof text - std::strlen(text) - 1);
        std::strncat(text, t.name, sizeof text - std::strlen(text) - 1);
      });
    }
  } names;
  return names.text;
}

bool cpu_choose(const char* name) {
  if (!name || !*name || !std::strcmp(name, "auto")) {
    chosen.store(nullptr, std::memory_order_release);
    return true;
  }
  bool found = false;
  each_usable([&](const CpuTable& t) {
    if (std::strcmp(t.name, name)) return;
    chosen.store(&t, std::memory_order_release);
    found = true;
  });
  return found;
}

}  // namespace pantiny
