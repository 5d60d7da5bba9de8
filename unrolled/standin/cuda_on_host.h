// CUDA C++ on a processor: enough of the language for the kernels of minigrad to be compiled by g++ and run.
//
// Every thread of a launch is a coroutine (a fiber) of one thread of the host. A fiber runs until it waits: at
// __syncthreads for its block, at a shuffle for its warp, at __nanosleep for anybody. Blocks of an ordinary launch run
// one after the other; those of a cooperative one take turns. What waits for ever is reported, not waited for.
// Launches are deterministic. Threads that run in order (order 1), in reverse (-1), and blocks and warps of which one is
// always kept waiting for a while, drawn from a seed (any other order), find races between threads: the tests try them.
#pragma once
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <deque>
#include <functional>
#include <limits>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

using std::max, std::min;  // exp, tanh and their like come from <cmath>, overloaded as CUDA's are
using std::exp, std::tanh, std::fma, std::abs, std::isnan;

struct uint3 { unsigned x, y, z; };
struct dim3 { unsigned x, y, z; };
struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(16) double2 { double x, y; };
struct alignas(16) int4 { int x, y, z, w; };

#define __global__
#define __device__
#define __host__
#define __constant__ const
#define __forceinline__ inline
#define __noinline__
#define __restrict__
#define __launch_bounds__(...)
#define __shared__ static  // in ordinary launches: there one block runs at a time. The tests refuse it in others.

namespace on_host {

constexpr size_t STACK = 64 * 1024;

struct Block;

struct Fiber {
  ucontext_t context;
  std::unique_ptr<char[]> stack{new char[STACK]};
  uint3 thread;
  Block* block;
  unsigned warp, lane;
  bool done = false, waiting = false, at_warp = false;
  uint64_t shuffled = 0;
};

struct Block {
  uint3 index;
  std::vector<Fiber*> fibers;
  std::vector<char> shared;
};

inline dim3 grid, block_size;
inline Fiber* current = nullptr;
inline ucontext_t scheduler;
inline const std::function<void()>* body = nullptr;
inline const char* fault = nullptr;
inline int order = 1;
inline bool moved = false;  // has anything but waiting happened since the scheduler looked?

inline void yield() { swapcontext(&current->context, &scheduler); }

inline void wait(bool warp) {
  current->waiting = true;
  current->at_warp = warp;
  moved = true;
  yield();
}

inline void entry() {
  (*body)();
  current->done = true;
  moved = true;
  yield();
}

// Let go of those that wait for each other once all of them (those that have not ended) have come.
inline void release(Block& block) {
  for (bool warp : {false, true}) {
    unsigned warps = warp ? (block.fibers.size() + 31) / 32 : 1;
    for (unsigned w = 0; w < warps; ++w) {
      unsigned live = 0, come = 0;
      for (Fiber* f : block.fibers)
        if (!f->done && (!warp || f->warp == w)) ++live, come += f->waiting && f->at_warp == warp;
      if (live && live == come)
        for (Fiber* f : block.fibers)
          if (!f->done && (!warp || f->warp == w)) f->waiting = false, moved = true;
    }
  }
}

inline bool run(std::vector<std::unique_ptr<Block>>& blocks) {
  auto dice = [state = uint64_t(order * order)](size_t n) mutable { return (state = state * 48271 % 2147483647) % n; };
  unsigned late_block = ~0u, late_warp = ~0u;
  for (int idle = 0, turns = 0;; --turns) {
    if (order * order != 1 && turns <= 0) {
      turns = dice(100);
      late_block = dice(2) ? dice(blocks.size()) : ~0u;
      late_warp = late_block == ~0u ? dice((blocks[0]->fibers.size() + 31) / 32) : ~0u;
    }
    bool live = false, late = idle < 200;  // until nobody else can go on
    moved = false;
    for (auto& block : blocks) {
      if (late && &block - blocks.data() == late_block) { live = true; continue; }
      auto step = [&](Fiber* f) {
        if (late && f->warp == late_warp) { live |= !f->done; return; }
        if (f->done || f->waiting) { live |= !f->done; return; }
        live = true;
        current = f;
        swapcontext(&scheduler, &f->context);
      };
      if (order < 0) {
        for (auto f = block->fibers.rbegin(); f != block->fibers.rend(); ++f) step(*f);
      } else {
        for (Fiber* f : block->fibers) step(f);
      }
      release(*block);
    }
    if (!live) return true;
    idle = moved ? 0 : idle + 1;
    if (idle > 1000) {
      fault = "a deadlock: every thread waits, or spins for what no other thread will write";
      return false;
    }
  }
}

inline const char* launch(dim3 g, dim3 b, size_t shared, bool cooperative, const std::function<void()>& kernel) {
  static std::deque<Fiber> pool;  // stacks are kept from launch to launch
  grid = g, block_size = b, body = &kernel, fault = nullptr;
  unsigned threads = b.x * b.y * b.z, count = g.x * g.y * g.z;
  if (threads == 0 || threads > 1024) return "a block has 1 to 1024 threads";
  size_t needed = size_t(threads) * (cooperative ? count : 1);
  while (pool.size() < needed) pool.emplace_back();
  std::vector<std::unique_ptr<Block>> blocks;
  for (unsigned k = 0; k < count; ++k) {
    blocks.emplace_back(new Block{{k % g.x, k / g.x % g.y, k / g.x / g.y}, {}, std::vector<char>(shared + 16)});
    std::memset(blocks.back()->shared.data(), 0xFF, shared + 16);  // fresh shared memory holds NaN, not 0
    for (unsigned t = 0; t < threads; ++t) {
      Fiber& f = pool[(blocks.size() - 1) * threads + t];
      f.thread = {t % b.x, t / b.x % b.y, t / b.x / b.y};
      f.block = blocks.back().get(), f.warp = t / 32, f.lane = t % 32;
      f.done = f.waiting = false;
      getcontext(&f.context);
      f.context.uc_stack.ss_sp = f.stack.get();
      f.context.uc_stack.ss_size = STACK;
      f.context.uc_link = &scheduler;
      makecontext(&f.context, reinterpret_cast<void (*)()>(entry), 0);
      blocks.back()->fibers.push_back(&f);
    }
    if (!cooperative || k + 1 == count) {
      if (!run(blocks)) return fault;
      blocks.clear();
    }
  }
  return fault;
}

template <class... A, size_t... k>
void call(void (*kernel)(A...), void** args, std::index_sequence<k...>) {
  kernel(*static_cast<std::remove_cv_t<A>*>(args[k])...);
}

template <class... A>
const char* launch(void (*kernel)(A...), dim3 g, dim3 b, size_t shared, bool cooperative, void** args, int given) {
  if (given != int(sizeof...(A))) return "the launch has another number of arguments than the kernel";
  return launch(g, b, shared, cooperative, [&] { call(kernel, args, std::index_sequence_for<A...>{}); });
}

inline void* shared() {
  auto at = reinterpret_cast<uintptr_t>(current->block->shared.data());
  return reinterpret_cast<void*>((at + 15) / 16 * 16);
}

template <class T>
T exchange(T value, unsigned from) {
  static_assert(sizeof(T) <= 8);
  std::memcpy(&current->shuffled, &value, sizeof value);
  wait(true);
  Fiber* me = current;
  T found = value;
  for (Fiber* f : me->block->fibers)
    if (f->warp == me->warp && f->lane == from) std::memcpy(&found, &f->shuffled, sizeof found);
  wait(true);
  return found;
}

}  // namespace on_host

#define threadIdx (on_host::current->thread)
#define blockIdx (on_host::current->block->index)
#define blockDim (on_host::block_size)
#define gridDim (on_host::grid)
inline void __syncthreads() { on_host::wait(false); }
inline void __syncwarp(unsigned = ~0u) { on_host::wait(true); }
inline void __nanosleep(unsigned) { on_host::yield(); }
inline void __threadfence() {}
inline void __threadfence_block() {}
template <class T> T __shfl_sync(unsigned, T x, unsigned lane) { return on_host::exchange(x, lane); }
template <class T> T __shfl_xor_sync(unsigned, T x, unsigned m) { return on_host::exchange(x, on_host::current->lane ^ m); }
template <class T> T __shfl_down_sync(unsigned, T x, unsigned d) { return on_host::exchange(x, on_host::current->lane + d); }
template <class T> T __ldcg(const T* at) { return *at; }
template <class T> T __ldg(const T* at) { return *at; }
template <class T> void __stcg(T* at, T x) { *at = x; }
template <class T> T atomicAdd(T* at, std::common_type_t<T> x) { T was = *at; *at = was + x; on_host::moved = true; return was; }
template <class T> T atomicExch(T* at, std::common_type_t<T> x) { T was = *at; *at = x; on_host::moved = true; return was; }
inline float __int_as_float(int x) { float y; std::memcpy(&y, &x, 4); return y; }
