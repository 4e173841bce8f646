// Counts what each thread of a process allocates. Preloaded into the programs as they are:
//
//   LD_PRELOAD=build/lib/liballocation_counter.so RUBATO_ALLOCATIONS=FOLDER program ...
//
// At the end of the process FOLDER/PID.jsonl says what its command was, and has a line for each thread: its name, its
// allocations (calls of malloc and its kin, operator new among them), and their bytes. With RUBATO_ALLOCATION_STACKS=1
// it has the callers too, as modules and offsets; tests/system/allocations.py names them.
//
// Thread-safety: each thread counts for itself; the table of callers has a lock.
#include <dlfcn.h>
#include <execinfo.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

extern "C" {
void* __libc_malloc(std::size_t bytes);
void* __libc_calloc(std::size_t count, std::size_t bytes);
void* __libc_realloc(void* memory, std::size_t bytes);
void* __libc_memalign(std::size_t alignment, std::size_t bytes);
}

namespace {

struct ThreadCount {
  long tid = 0;
  std::array<char, 16> name{};
  std::uint64_t calls = 0, bytes = 0;
};

constexpr std::size_t kThreadsMax = 256, kStacksMax = 1 << 13;
constexpr int kFramesMax = 14;

struct Stack {
  std::array<void*, kFramesMax> frames{};
  int depth = 0;
  std::size_t thread = 0;
  std::uint64_t calls = 0;
};

std::array<ThreadCount, kThreadsMax> threads;
std::atomic<std::size_t> threads_used = 0;
std::array<Stack, kStacksMax> stacks;
std::size_t stacks_left_out = 0;
std::atomic_flag stacks_lock;
bool wants_stacks = false;

// Compiled so that they need no memory of the loader's (-ftls-model=initial-exec): malloc looks at them.
thread_local ThreadCount* mine = nullptr;
thread_local bool inside = false;

void note_stack() {
  Stack found;
  found.depth = std::max(0, ::backtrace(found.frames.data(), kFramesMax));
  found.thread = static_cast<std::size_t>(mine - threads.data());
  std::uint64_t hash = found.thread;
  for (int i = 0; i < found.depth; ++i)
    hash = (hash ^ reinterpret_cast<std::uintptr_t>(found.frames[i])) * 0x9e3779b97f4a7c15;
  while (stacks_lock.test_and_set(std::memory_order_acquire)) {
  }
  bool counted = false;
  for (std::size_t probe = 0; probe < 64 && !counted; ++probe) {
    Stack& at = stacks[((hash >> 32) + probe) % kStacksMax];
    if (at.calls != 0 && (at.frames != found.frames || at.thread != found.thread)) continue;
    if (at.calls == 0) at = found;
    ++at.calls;
    counted = true;
  }
  if (!counted) ++stacks_left_out;
  stacks_lock.clear(std::memory_order_release);
}

void count(std::size_t bytes) {
  if (inside) return;
  inside = true;
  if (mine == nullptr) {
    const std::size_t at = std::min(threads_used.fetch_add(1), kThreadsMax - 1);
    mine = &threads[at];
    mine->tid = ::syscall(SYS_gettid);
    ::pthread_getname_np(::pthread_self(), mine->name.data(), mine->name.size());
  }
  ++mine->calls;
  mine->bytes += bytes;
  if (wants_stacks) note_stack();
  inside = false;
}

__attribute__((constructor)) void begin() {
  inside = true;  // backtrace() allocates when it is first called
  void* frame = nullptr;
  wants_stacks = std::getenv("RUBATO_ALLOCATION_STACKS") != nullptr && ::backtrace(&frame, 1) >= 0;
  inside = false;
}

void write_stack(std::FILE* file, const Stack& stack) {
  std::fprintf(file, R"({"thread":%zu,"stack_calls":%lu,"frames":[)", stack.thread, stack.calls);
  for (int i = 2; i < stack.depth; ++i) {
    Dl_info where{};
    ::dladdr(stack.frames[i], &where);
    std::fprintf(file, R"(%s["%s",%td])", i > 2 ? "," : "", where.dli_fname ? where.dli_fname : "",
                 static_cast<char*>(stack.frames[i]) - static_cast<char*>(where.dli_fbase));
  }
  std::fprintf(file, "]}\n");
}

// Of this process, its words apart by blanks.
std::array<char, 4096> command() {
  std::array<char, 4096> words{};
  if (std::FILE* file = std::fopen("/proc/self/cmdline", "r")) {
    const std::size_t size = std::fread(words.data(), 1, words.size() - 1, file);
    std::replace(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(size), '\0', ' ');
    std::replace(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(size), '"', ' ');
    std::fclose(file);
  }
  return words;
}

__attribute__((destructor)) void end() {
  inside = true;
  const char* folder = std::getenv("RUBATO_ALLOCATIONS");
  if (folder == nullptr) return;
  std::array<char, 4096> path{};
  std::snprintf(path.data(), path.size(), "%s/%d.jsonl", folder, static_cast<int>(::getpid()));
  std::FILE* file = std::fopen(path.data(), "w");
  if (file == nullptr) return;
  std::fprintf(file,
               R"({"command":"%s"})"
               "\n",
               command().data());
  for (std::size_t i = 0; i < std::min(threads_used.load(), kThreadsMax); ++i)
    std::fprintf(file,
                 R"({"tid":%ld,"name":"%s","calls":%lu,"bytes":%lu})"
                 "\n",
                 threads[i].tid, threads[i].name.data(), threads[i].calls, threads[i].bytes);
  for (const Stack& stack : stacks)
    if (stack.calls > 0) write_stack(file, stack);
  std::fclose(file);
}

}  // namespace

// Not declared as the system's headers do: their attributes differ from version to version.
#define COUNTED extern "C" __attribute__((visibility("default")))

COUNTED void* malloc(std::size_t bytes) {
  count(bytes);
  return __libc_malloc(bytes);
}
COUNTED void* calloc(std::size_t number, std::size_t bytes) {
  count(number * bytes);
  return __libc_calloc(number, bytes);
}
COUNTED void* realloc(void* memory, std::size_t bytes) {
  count(bytes);
  return __libc_realloc(memory, bytes);
}
COUNTED void* memalign(std::size_t alignment, std::size_t bytes) {
  count(bytes);
  return __libc_memalign(alignment, bytes);
}
COUNTED void* aligned_alloc(std::size_t alignment, std::size_t bytes) {
  count(bytes);
  return __libc_memalign(alignment, bytes);
}
COUNTED int posix_memalign(void** memory, std::size_t alignment, std::size_t bytes) {
  count(bytes);
  *memory = __libc_memalign(alignment, bytes);
  return *memory == nullptr ? ENOMEM : 0;
}
// Threads are named once they run; what they are named first is what they are known by.
COUNTED int pthread_setname_np(pthread_t thread, const char* name) {
  using SetName = int (*)(pthread_t, const char*);
  static const auto real = reinterpret_cast<SetName>(::dlsym(RTLD_NEXT, "pthread_setname_np"));
  if (::pthread_equal(thread, ::pthread_self()) != 0) {
    count(0);
    std::snprintf(mine->name.data(), mine->name.size(), "%s", name);
    --mine->calls;
  }
  return real(thread, name);
}
