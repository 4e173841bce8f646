#include "tests/cuda_fake/machine.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <utility>

namespace rubato::cuda_fake {
namespace {

constexpr std::size_t kAlignment = 256, kGuard = 256;
constexpr std::byte kGuardByte{0xA5};
constexpr int kGarbage = 0xFF;  // four of them are a NaN

bool is_guard(const std::byte* from) {
  return std::all_of(from, from + kGuard, [](std::byte byte) { return byte == kGuardByte; });
}

}  // namespace

Machine& machine() {
  static Machine one;
  return one;
}

bool Machine::fails(std::string_view call) {
  if (++calls_ != failing_) return false;
  failed_ = call;
  return true;
}

void* Machine::allocate(std::size_t bytes) {
  const std::size_t room = (bytes + kAlignment - 1) / kAlignment * kAlignment + 2 * kGuard;
  auto* const base = static_cast<std::byte*>(std::aligned_alloc(kAlignment, room));
  std::memset(base, static_cast<int>(kGuardByte), room);
  std::byte* const data = base + kGuard;
  std::memset(data, kGarbage, bytes);
  allocations_[data] = {base, bytes};
  return data;
}

// Whoever is still at work on it is waited for, as cudaFree does.
void Machine::release(void* data) {
  wait_for_all();
  const auto found = allocations_.find(static_cast<std::byte*>(data));
  if (found == allocations_.end()) return fault("cudaFree of what was not allocated");
  std::free(found->second.base);
  allocations_.erase(found);
}

const Machine::Allocation* Machine::allocation_at(const void* data) const {
  const auto* const at = static_cast<const std::byte*>(data);
  auto next = allocations_.upper_bound(at);
  if (next == allocations_.begin()) return nullptr;
  const auto& [begin, allocation] = *std::prev(next);
  return at < begin + allocation.bytes ? &allocation : nullptr;
}

bool Machine::covers(const void* data, std::size_t bytes, std::string_view what) {
  const auto* const at = static_cast<const std::byte*>(data);
  const Allocation* const allocation = allocation_at(data);
  if (allocation != nullptr && at + bytes <= allocation->base + kGuard + allocation->bytes) return true;
  fault(fmt::format("{}: {} bytes do not lie in live memory of the device", what, bytes));
  return false;
}

void Machine::check_guards() {
  for (const auto& [begin, allocation] : allocations_) {
    if (is_guard(allocation.base) && is_guard(begin + allocation.bytes)) continue;
    fault(fmt::format("something was written beside an allocation of {} bytes", allocation.bytes));
  }
}

cudaStream_t Machine::create_stream() {
  auto work = std::make_unique<Work>();
  auto* const handle = reinterpret_cast<cudaStream_t>(work.get());
  streams_[handle] = std::move(work);
  return handle;
}

void Machine::destroy_stream(cudaStream_t stream) {
  if (!is_stream(stream, "cudaStreamDestroy")) return;
  wait_for(stream);
  streams_.erase(stream);
}

bool Machine::is_stream(cudaStream_t stream, std::string_view what) {
  if (streams_.contains(stream)) return true;
  fault(fmt::format("{} on what is no stream", what));
  return false;
}

void Machine::enqueue(cudaStream_t stream, std::function<void()> work) {
  streams_.at(stream)->push_back(std::move(work));
}

void Machine::wait_for(cudaStream_t stream) {
  for (const auto& work : std::exchange(*streams_.at(stream), {})) work();
  check_guards();
}

void Machine::wait_for_all() {
  for (const auto& [stream, work] : streams_) wait_for(stream);
}

void Machine::give_up() {
  for (const auto& [stream, work] : streams_) work->clear();
}

Live live() {
  const Machine& m = machine();
  return {m.allocations_.size(), m.streams_.size(), m.handles, m.descriptors};
}

std::vector<std::string> take_faults() { return std::exchange(machine().faults_, {}); }

void fail_call(std::size_t n) {
  machine().failing_ = n;
  machine().calls_ = 0;
  machine().failed_.clear();
}

std::size_t calls() { return machine().calls_; }
std::string failed_call() { return machine().failed_; }
void set_device_count(int count) { machine().device_count = count; }
void hide_cudnn(bool hidden) { machine().hides_cudnn = hidden; }
void refuse_epilogues(bool refuse) { machine().refuses_epilogues = refuse; }

void offer_engines(std::vector<Engine> engines) {
  if (engines.empty())
    engines = {{.atomic = true},
               {.tensor_cores = true},
               {.compiled = true},
               {.supported = false},
               {.scratch_bytes = std::size_t{1} << 40},
               {.scratch_bytes = 1000}};
  machine().engines = std::move(engines);
}

}  // namespace rubato::cuda_fake
