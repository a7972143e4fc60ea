#include <cstdlib>
#include <memory>
#include <vector>

#include "csrc/cuda/device.h"

#ifndef __x86_64__
#include <ucontext.h>
#endif

#ifdef __x86_64__
// Saves the registers a call must keep on this stack and goes on with another. ucontext asks the
// system for its signal mask at every switch, which takes ten times as long.
extern "C" void ptn_switch_stack(void** save, void* to);
asm(".text\n.globl ptn_switch_stack\n.type ptn_switch_stack,@function\nptn_switch_stack:\n"
    "pushq %rbp\npushq %rbx\npushq %r12\npushq %r13\npushq %r14\npushq %r15\n"
    "movq %rsp,(%rdi)\nmovq %rsi,%rsp\n"
    "popq %r15\npopq %r14\npopq %r13\npopq %r12\npopq %rbx\npopq %rbp\nret\n"
    ".size ptn_switch_stack,.-ptn_switch_stack\n");
#endif

namespace pantiny {
namespace cuda {

namespace {

#ifdef __x86_64__
struct Context {
  void* stack = nullptr;
};
inline void switch_to(Context* from, Context* to) { ptn_switch_stack(&from->stack, to->stack); }
inline void start(Context* c, char* stack, size_t bytes, Context*, void (*run)()) {
  constexpr int kSaved = 6;  // registers
  auto* top = reinterpret_cast<void**>((reinterpret_cast<uintptr_t>(stack) + bytes) / 16 * 16);
  *--top = nullptr;  // as after a call
  *--top = reinterpret_cast<void*>(run);
  for (int i = 0; i < kSaved; ++i) *--top = nullptr;
  c->stack = top;
}
#else
struct Context {
  ucontext_t state;
};
inline void switch_to(Context* from, Context* to) { swapcontext(&from->state, &to->state); }
inline void start(Context* c, char* stack, size_t bytes, Context* back, void (*run)()) {
  getcontext(&c->state);
  c->state.uc_stack.ss_sp = stack;
  c->state.uc_stack.ss_size = bytes;
  c->state.uc_link = &back->state;
  makecontext(&c->state, run, 0);
}
#endif

constexpr size_t kStack = size_t{256} << 10;
constexpr size_t kGuard = 256;
constexpr int kExchangeWords = 32;
constexpr unsigned char kPoison = 0xff;  // NaN in every float format
constexpr unsigned char kGuardByte = 0xa5;

enum class At { kRunning, kBlockBarrier, kWarpBarrier, kDone };

struct Copy {
  void* to;
  const void* from;  // null: zeros
  int bytes;
};

struct Fiber {
  Context context;
  std::unique_ptr<char[]> stack;
  At at;
  unsigned phase;  // of the exchange buffers
  std::vector<Copy> copies;
};

struct Machine {
  int threads = 0;
  bool run_ahead = false;
  unsigned random = 12345;
  std::vector<Fiber> fibers;
  std::vector<uint32_t> words;  // [warps][2][32 lanes][32]
  Context scheduler;
  int current = 0;
  Dim3 grid{}, block{};
  char* shared = nullptr;
  const std::function<void(char*)>* body = nullptr;

  void prepare(int count) {
    threads = count;
    if (static_cast<int>(fibers.size()) < count) fibers.resize(count);
    for (int i = 0; i < count; ++i)
      if (!fibers[i].stack) fibers[i].stack.reset(new char[kStack]);
    words.resize(static_cast<size_t>((count + 31) / 32) * 2 * 32 * kExchangeWords);
  }
};

Machine& machine() {
  static thread_local Machine one;
  return one;
}

void trampoline() {
  Machine& m = machine();
  (*m.body)(m.shared);
  m.fibers[m.current].at = At::kDone;
  switch_to(&m.fibers[m.current].context, &m.scheduler);
}

void wait(At what) {
  Machine& m = machine();
  Fiber& f = m.fibers[m.current];
  f.at = what;
  switch_to(&f.context, &m.scheduler);
}

void resume(Machine& m, int i) {
  m.current = i;
  m.fibers[i].at = At::kRunning;
  switch_to(&m.scheduler, &m.fibers[i].context);
}

// Threads of a warp until every one waits at the block's barrier or is done. False: stuck.
bool run_warp(Machine& m, int first, int last, bool once) {
  for (;;) {
    int at_warp = 0, done = 0;
    for (int i = first; i < last; ++i) {
      at_warp += m.fibers[i].at == At::kWarpBarrier;
      done += m.fibers[i].at == At::kDone;
    }
    if (at_warp == 0 || (at_warp < last - first && at_warp + done < last - first)) {
      // some have yet to reach the warp's barrier: none may be at the block's
      bool moved = false;
      for (int i = first; i < last; ++i)
        if (m.fibers[i].at == At::kRunning) {
          resume(m, i);
          moved = true;
        }
      if (!moved) return at_warp == 0;
    } else {
      if (done) return false;
      for (int i = first; i < last; ++i) resume(m, i);
    }
    if (once) return true;
  }
}

// One block; false: its threads wait for each other for ever.
bool run_block(Machine& m) {
  for (int i = 0; i < m.threads; ++i) {
    Fiber& f = m.fibers[i];
    start(&f.context, f.stack.get(), kStack, &m.scheduler, trampoline);
    f.at = At::kRunning;
    f.phase = 0;
    f.copies.clear();
  }
  const int warps = (m.threads + 31) / 32;
  auto last_of = [&](int w) { return w * 32 + 32 < m.threads ? w * 32 + 32 : m.threads; };
  auto pending = [&](int w) {
    for (int i = w * 32; i < last_of(w); ++i)
      if (m.fibers[i].at == At::kRunning || m.fibers[i].at == At::kWarpBarrier) return true;
    return false;
  };
  for (;;) {
    m.random = m.random * 1664525u + 1013904223u;
    const int first = m.run_ahead ? static_cast<int>((m.random >> 8) % warps) : 0;
    bool any = true;
    while (any) {  // in turn: every warp a step; run ahead: a warp to its end
      any = false;
      for (int k = 0; k < warps; ++k) {
        const int w = (first + k) % warps;
        if (!pending(w)) continue;
        any = true;
        if (!run_warp(m, w * 32, last_of(w), !m.run_ahead)) return false;
      }
    }
    int done = 0;
    for (int i = 0; i < m.threads; ++i) done += m.fibers[i].at == At::kDone;
    if (done == m.threads) return true;
    if (done) return false;  // a barrier that some threads never reach
    for (int i = 0; i < m.threads; ++i) m.fibers[i].at = At::kRunning;
  }
}

}  // namespace

int thread() { return machine().current; }
Dim3 block() { return machine().block; }
Dim3 grid() { return machine().grid; }
void sync_block() { wait(At::kBlockBarrier); }
void sync_warp() { wait(At::kWarpBarrier); }
void set_run_ahead(bool on) { machine().run_ahead = on; }

void keep_copy(void* to, const void* from, int bytes) {
  Machine& m = machine();
  m.fibers[m.current].copies.push_back({to, from, bytes});
}
void wait_copies() {
  Machine& m = machine();
  std::vector<Copy>& copies = m.fibers[m.current].copies;
  for (const Copy& c : copies) {
    const auto bytes = static_cast<size_t>(c.bytes);
    if (c.from)
      std::memcpy(c.to, c.from, bytes);
    else
      std::memset(c.to, 0, bytes);
  }
  copies.clear();
}

const uint32_t* exchange(const uint32_t* in, int count) {
  Machine& m = machine();
  const int me = m.current;
  uint32_t* all =
      m.words.data() + ((me / 32) * 2 + (m.fibers[me].phase++ & 1)) * 32 * kExchangeWords;
  std::memcpy(all + (me & 31) * kExchangeWords, in, 4 * static_cast<size_t>(count));
  sync_warp();
  return all;
}

const char* emulate(Dim3 grid, int threads, size_t shared_bytes,
                    const std::function<void(char*)>& body) {
  Machine& m = machine();
  m.prepare(threads);
  m.grid = grid;
  m.body = &body;
  const size_t room = (shared_bytes + 127) / 128 * 128 + kGuard;
  std::unique_ptr<char, void (*)(void*)> shared(static_cast<char*>(std::aligned_alloc(128, room)),
                                                std::free);
  m.shared = shared.get();
  for (m.block.z = 0; m.block.z < grid.z; ++m.block.z)
    for (m.block.y = 0; m.block.y < grid.y; ++m.block.y)
      for (m.block.x = 0; m.block.x < grid.x; ++m.block.x) {
        std::memset(m.shared, kPoison, shared_bytes);
        std::memset(m.shared + shared_bytes, kGuardByte, room - shared_bytes);
        if (!run_block(m)) return "threads of a block wait for each other for ever";
        for (size_t i = shared_bytes; i < room; ++i)
          if (static_cast<unsigned char>(m.shared[i]) != kGuardByte)
            return "written behind the end of shared memory";
      }
  return nullptr;
}

}  // namespace cuda
}  // namespace pantiny
