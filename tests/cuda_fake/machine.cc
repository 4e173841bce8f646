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

std::string look_at(HostRange range) { return {reinterpret_cast<const char*>(range.data), range.bytes}; }

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
  failed_in_capture_ = capture_ != nullptr || call.find("Capture") != call.npos || call.find("Graph") != call.npos;
  return true;
}

void* Machine::allocate(std::size_t bytes) {
  const std::size_t room = (bytes + kAlignment - 1) / kAlignment * kAlignment + 2 * kGuard;
  auto* const base = static_cast<std::byte*>(std::aligned_alloc(kAlignment, room));
  std::memset(base, static_cast<int>(kGuardByte), room);
  std::byte* const data = base + kGuard;
  std::memset(data, kGarbage, bytes);
  allocations_[data] = {base, bytes, std::make_shared<Touched>(bytes)};
  return data;
}

// Whoever is still at work on it is waited for, as cudaFree does.
void Machine::release(void* data) {
  wait_for_all();
  const auto found = allocations_.find(static_cast<std::byte*>(data));
  if (found == allocations_.end()) return fault("cudaFree of what was not allocated");
  make_stale(found->first);
  std::free(found->second.base);
  allocations_.erase(found);
  last_ = allocations_.end();
}

const Machine::Allocation* Machine::allocation_at(const void* data) const {
  const auto* const at = static_cast<const std::byte*>(data);
  const auto has = [&](const auto& found) { return found->first <= at && at < found->first + found->second.bytes; };
  if (last_ != allocations_.end() && has(last_)) return &last_->second;
  const auto next = allocations_.upper_bound(at);
  if (next == allocations_.begin() || !has(std::prev(next))) return nullptr;
  last_ = std::prev(next);
  return &last_->second;
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

void* Machine::allocate_pinned(std::size_t bytes) {
  auto* const data =
      static_cast<std::byte*>(std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment));
  std::memset(data, kGarbage, bytes);
  pins_[data] = {bytes, false, std::make_shared<Touched>(bytes)};
  return data;
}

void Machine::release_pinned(void* data) {
  const auto found = pins_.find(static_cast<std::byte*>(data));
  if (found == pins_.end() || found->second.registered)
    return fault("cudaFreeHost of what cudaHostAlloc has not given");
  forget_copies_of({found->first, found->second.bytes}, "cudaFreeHost");
  make_stale(found->first);
  pins_.erase(found);
  std::free(data);
}

bool Machine::pin(const void* data, std::size_t bytes) {
  const auto* const begin = static_cast<const std::byte*>(data);
  const auto next = pins_.lower_bound(begin);
  const bool over_next = next != pins_.end() && next->first < begin + bytes;
  if (over_next || pinned_at(data) != pins_.end()) return false;
  pins_[begin] = {bytes, true, std::make_shared<Touched>(bytes)};
  return true;
}

bool Machine::unpin(const void* data, std::string_view call) {
  const auto found = pins_.find(static_cast<const std::byte*>(data));
  if (found == pins_.end() || !found->second.registered) {
    fault(fmt::format("{} of what is not registered", call));
    return false;
  }
  forget_copies_of({found->first, found->second.bytes}, call);
  make_stale(found->first);
  pins_.erase(found);
  return true;
}

Machine::Pins::iterator Machine::pinned_at(const void* data) {
  const auto* const at = static_cast<const std::byte*>(data);
  const auto next = pins_.upper_bound(at);
  if (next == pins_.begin()) return pins_.end();
  const auto found = std::prev(next);
  return at < found->first + found->second.bytes ? found : pins_.end();
}

bool Machine::is_pinned(const void* data, std::size_t bytes, std::string_view what) {
  const auto* const at = static_cast<const std::byte*>(data);
  const auto found = pinned_at(data);
  if (found != pins_.end() && at + bytes <= found->first + found->second.bytes) return true;
  const auto next = pins_.lower_bound(at);
  if (found != pins_.end() || (next != pins_.end() && next->first < at + bytes))
    fault(fmt::format("{}: a part of {} bytes is pinned", what, bytes));
  return false;
}

void Machine::make_stale(const std::byte* memory) {
  for (const auto& [handle, graph] : executables_) graph->stale |= graph->memory.contains(memory);
}

// What is under way to or from there is a fault, and does not happen: nobody knows whose the memory is.
void Machine::forget_copies_of(HostRange memory, std::string_view call) {
  for (const auto& [handle, stream] : streams_)
    for (Item& item : stream->items) {
      if (item.host.data + item.host.bytes <= memory.data || memory.data + memory.bytes <= item.host.data) continue;
      fault(fmt::format("{} of memory that a copy of {} bytes is under way to or from", call, item.host.bytes));
      item.does = nullptr;
      item.host = {};
      item.before.clear();
    }
}

cudaStream_t Machine::create_stream() {
  auto made = std::make_unique<Stream>();
  const auto taken = [&](std::size_t lane) {
    return std::ranges::any_of(streams_, [&](const auto& other) { return other.second->lane == lane; });
  };
  for (made->lane = 1; taken(made->lane);) ++made->lane;
  if (made->lane >= kLanesMax) fault("more streams than the fake has lanes for"), made->lane = kLanesMax - 1;
  auto* const handle = reinterpret_cast<cudaStream_t>(made.get());
  streams_[handle] = std::move(made);
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

void Machine::add(Stream& stream, Item item) {
  stream.clock.learn(host_);
  item.self = moment_of(stream.lane, ++given_[stream.lane]);
  item.known = stream.clock;
  stream.clock.learn(item.self);
  if (item.host.bytes > 0) item.before = look_at(item.host);
  stream.items.push_back(std::move(item));
}

void Machine::enqueue(cudaStream_t stream, std::function<void()> work, HostRange host, bool pinned) {
  Stream& to = *streams_.at(stream);
  if (captures(to)) {
    if (!pinned) break_capture("a copy of memory that is not pinned is captured");
    return take_down(to, {.lane = to.lane, .does = std::move(work), .host = host});
  }
  add(to, {.self = {}, .known = {}, .does = std::move(work), .host = host, .behind = {}});
  to.unpinned |= !pinned;
}

// And whatever of other streams that waits for.
void Machine::run_until(std::size_t lane, std::uint32_t number) {
  const auto found = std::ranges::find_if(streams_, [&](const auto& each) { return each.second->lane == lane; });
  if (found == streams_.end()) return;  // it was waited for when it was destroyed
  std::deque<Item>& items = found->second->items;
  while (!items.empty() && items.front().self.number <= number) {
    const Item item = std::move(items.front());
    items.pop_front();
    if (item.behind.number > 0) run_until(item.behind.lane, item.behind.number);
    if (!item.does) continue;
    now_ = &item;
    said_ = false;
    if (item.before != look_at(item.host)) fault("the host changed memory while a copy from or to it was under way");
    item.does();
    now_ = nullptr;
  }
}

void Machine::wait_for(cudaStream_t stream) {
  Stream& waited = *streams_.at(stream);
  waited.unpinned = false;
  run_until(waited.lane, given_[waited.lane]);
  host_.learn(waited.clock);
  check_guards();
}

void Machine::wait_for_all() {
  for (const auto& [stream, work] : streams_) wait_for(stream);
}

void Machine::give_up() {
  for (const auto& [handle, stream] : streams_) {
    stream->items.clear();
    stream->unpinned = false;
    host_.learn(stream->clock);
  }
}

void Machine::touch(const void* data, std::size_t bytes, bool writes) {
  if (now_ == nullptr || bytes == 0) return;
  const auto* const at = static_cast<const std::byte*>(data);
  Touched* touched = nullptr;
  std::size_t offset = 0;
  if (const Allocation* const allocation = allocation_at(data)) {
    touched = allocation->touched.get();
    offset = static_cast<std::size_t>(at - allocation->base) - kGuard;
  } else if (const auto pinned = pinned_at(data); pinned != pins_.end()) {
    touched = pinned->second.touched.get();
    offset = static_cast<std::size_t>(at - pinned->first);
  }
  if (touched == nullptr) return;
  if (now_->graph != nullptr) now_->graph->memory.insert(at - offset);
  const auto other = touched->touch(offset, bytes, writes, now_->self, now_->known);
  if (!other || said_) return;
  said_ = true;  // where one word is wrong, many are
  fault(fmt::format("stream {} {} what stream {} touches, and nothing says which is first", unsigned{now_->self.lane},
                    writes ? "writes" : "reads", unsigned{other->lane}));
}

Live live() {
  const Machine& m = machine();
  return {m.allocations_.size(), m.streams_.size() - m.hidden_.size(),    m.handles, m.descriptors, m.events_.size(),
          m.pins_.size(),        m.graphs_.size() + m.executables_.size()};
}

std::vector<std::string> take_faults() { return std::exchange(machine().faults_, {}); }

void fail_call(std::size_t n) {
  machine().failing_ = n;
  machine().calls_ = 0;
  machine().failed_.clear();
  machine().failed_in_capture_ = false;
}

std::size_t calls() { return machine().calls_; }
bool failed_in_capture() { return machine().failed_in_capture_; }
std::string failed_call() { return machine().failed_; }
void set_device_count(int count) { machine().device_count = count; }
void set_capability(int capability) { machine().capability = capability; }
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
