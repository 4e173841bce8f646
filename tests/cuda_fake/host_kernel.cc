// Runs kernels: a block's threads are fibers, made with makecontext and switched by _setjmp and _longjmp, which, unlike
// swapcontext, ask the kernel for nothing. The first thread of a block shows whether there are barriers at all: where
// it ends without one, the others are called as plain functions.
#include "tests/cuda_fake/host_kernel.h"

#include <fmt/format.h>
#include <setjmp.h>
#include <ucontext.h>

#include <memory>

#include "tests/cuda_fake/machine.h"
#include "tests/cuda_fake/race_check.h"

namespace rubato::cuda_fake {
namespace {

constexpr std::size_t kStackBytes = 64 << 10;
constexpr std::size_t kThreadsMax = 1024, kBlocksMax = 2147483647;

struct Fiber {
  std::unique_ptr<char[]> stack = std::make_unique<char[]>(kStackBytes);
  jmp_buf at{};
  bool started = false, ended = false;
};

class Block {
 public:
  void run(unsigned threads, bool descending, const std::function<void()>& thread);
  void wait();

 private:
  void resume(std::size_t index);
  void call(std::size_t index);
  [[nodiscard]] static dim3 place_of(std::size_t index) { return dim3(static_cast<unsigned>(index)); }
  static void entry();

  std::vector<Fiber> fibers_;
  const std::function<void()>* thread_ = nullptr;
  Fiber* current_ = nullptr;  // null where threads are plain calls
  unsigned barriers_ = 0;     // that the block has passed
  jmp_buf scheduler_{};
};

Block block;

// Of each block that a fiber is used for, one thread.
void Block::entry() {
  for (;;) {
    (*block.thread_)();
    block.current_->ended = true;
    block.wait();
  }
}

// Comes back when the thread has ended, or stands at a barrier.
void Block::resume(std::size_t index) {
  place.thread = place_of(index);
  current_ = &fibers_[index];
  race_check().run(
      {place.block.x, place.thread.x, barriers_, std::as_bytes(std::span(current_->stack.get(), kStackBytes))});
  if (_setjmp(scheduler_) == 0) {
    if (current_->started) _longjmp(current_->at, 1);
    current_->started = true;
    ucontext_t context;
    getcontext(&context);
    context.uc_stack.ss_sp = current_->stack.get();
    context.uc_stack.ss_size = kStackBytes;
    context.uc_link = nullptr;
    makecontext(&context, &Block::entry, 0);
    setcontext(&context);
  }
  race_check().pause();
  current_ = nullptr;
}

// A thread without barriers. Its stack is the program's.
void Block::call(std::size_t index) {
  place.thread = place_of(index);
  const std::byte* const here = static_cast<const std::byte*>(__builtin_frame_address(0));
  race_check().run({place.block.x, place.thread.x, 0, {here - kStackBytes, 2 * kStackBytes}});
  (*thread_)();
  race_check().pause();
}

void Block::wait() {
  if (current_ == nullptr)
    return machine().fault("a thread came to a barrier that the first of its block did not come to");
  if (_setjmp(current_->at) == 0) _longjmp(scheduler_, 1);
}

void Block::run(unsigned threads, bool descending, const std::function<void()>& thread) {
  thread_ = &thread;
  barriers_ = 0;
  if (fibers_.size() < threads) fibers_.resize(threads);
  for (std::size_t i = 0; i < threads; ++i) fibers_[i].ended = false;
  const auto nth = [&](std::size_t i) { return descending ? threads - 1 - i : i; };
  resume(nth(0));
  if (fibers_[nth(0)].ended) {
    for (std::size_t i = 1; i < threads; ++i) call(nth(i));
    return;
  }
  for (std::size_t i = 1; i < threads; ++i) resume(nth(i));
  for (std::size_t ended = 0; ended < threads;) {
    ended = 0;
    for (std::size_t i = 0; i < threads; ++i) ended += fibers_[i].ended ? 1 : 0;
    ++barriers_;
    if (ended > 0 && ended < threads) machine().fault("threads of a block ended before a barrier of others");
    for (std::size_t i = 0; i < threads; ++i)
      if (!fibers_[nth(i)].ended) resume(nth(i));
  }
}

}  // namespace

void barrier() { block.wait(); }

cudaError_t enqueue_kernel(std::size_t blocks, unsigned threads, cudaStream_t stream,
                           const std::vector<const void*>& pointers, std::function<void()> thread) {
  if (machine().fails("launch")) return cudaErrorUnknown;
  if (blocks > kBlocksMax || threads == 0 || threads > kThreadsMax || !machine().is_stream(stream, "launch"))
    return cudaErrorInvalidValue;
  for (const void* pointer : pointers)
    if (pointer != nullptr && !machine().covers(pointer, 1, "launch")) return cudaErrorInvalidValue;
  machine().enqueue(stream, [=, thread = std::move(thread)] {
    static bool descending = false;
    descending = !descending;
    race_check().begin_launch();
    place.threads = dim3(threads);
    place.blocks = dim3(static_cast<unsigned>(blocks));
    for (std::size_t i = 0; i < blocks; ++i) {
      place.block = dim3(static_cast<unsigned>(i));
      block.run(threads, descending, thread);
    }
  });
  return cudaSuccess;
}

}  // namespace rubato::cuda_fake
