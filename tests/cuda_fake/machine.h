// The fake's memory, streams and faults: what its halves (runtime.cc, events.cc, cublas_lt.cc, cudnn.cc,
// host_kernel.cc) share.
//
// What is enqueued happens when somebody waits for it, and not before: of other streams no more than events ask for.
// So what only seems to be ordered is done as late as it can be. Whoever does something says what it reads and writes
// (happens_before.h).
//
// Thread-safety: none.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tests/cuda_fake/fake.h"
#include "tests/cuda_fake/happens_before.h"

namespace rubato::cuda_fake {

// Memory of the host that a copy is about.
struct HostRange {
  const std::byte* data = nullptr;
  std::size_t bytes = 0;
};

class Machine {
 public:
  // Counts a call that can fail, and says whether it is to.
  [[nodiscard]] bool fails(std::string_view call);
  void fault(std::string text) { faults_.push_back(std::move(text)); }

  [[nodiscard]] void* allocate(std::size_t bytes);
  void release(void* data);
  [[nodiscard]] bool is_device(const void* data) const { return allocation_at(data) != nullptr; }
  // Whether it lies in live memory of the device as a whole; if not, it is a fault, of `what`.
  bool covers(const void* data, std::size_t bytes, std::string_view what);

  // Pinned memory of the host: the runtime's own, or somebody's that is registered. False: it is so already, or is not.
  [[nodiscard]] void* allocate_pinned(std::size_t bytes);
  void release_pinned(void* data);
  bool pin(const void* data, std::size_t bytes);
  bool unpin(const void* data, std::string_view call);
  // As a whole. It is a fault, of `what`, if that is true of a part of it.
  bool is_pinned(const void* data, std::size_t bytes, std::string_view what);

  [[nodiscard]] cudaStream_t create_stream();
  void destroy_stream(cudaStream_t stream);
  // A fault, if it is none.
  bool is_stream(cudaStream_t stream, std::string_view what);
  // `host`: memory of the host that it reads or writes. Where that is not pinned, the stream has to be waited for
  // before an event is recorded there.
  void enqueue(cudaStream_t stream, std::function<void()> work, HostRange host = {}, bool pinned = true);
  // From within what is enqueued.
  void reads(const void* data, std::size_t bytes) { touch(data, bytes, false); }
  void writes(const void* data, std::size_t bytes) { touch(data, bytes, true); }
  void wait_for(cudaStream_t stream);
  void wait_for_all();
  // What a GPU does that has failed: nothing of what it was given.
  void give_up();

  // What the stream is given from now on, and streams that wait for it, is taken down and not done. Faults: what a
  // capture does not allow. / Null, and a fault: it was broken, or streams that took part were not joined.
  [[nodiscard]] bool begin_capture(cudaStream_t stream);
  [[nodiscard]] cudaGraph_t end_capture(cudaStream_t stream);
  void destroy_graph(cudaGraph_t graph);
  [[nodiscard]] cudaGraphExec_t instantiate(cudaGraph_t graph);
  void destroy_executable(cudaGraphExec_t executable);
  [[nodiscard]] bool launch(cudaGraphExec_t executable, cudaStream_t stream);
  // A fault, while anything is captured: `call` waits, or asks how far something is.
  bool breaks_capture(std::string_view call);

  [[nodiscard]] cudaEvent_t create_event();
  void destroy_event(cudaEvent_t event);
  // A fault, if it is none.
  bool is_event(cudaEvent_t event, std::string_view what);
  void record(cudaEvent_t event, cudaStream_t stream, bool external = false);
  // By a stream; by the host; whether it is over, which the host is told of every other time that it asks.
  void wait_for_event(cudaStream_t stream, cudaEvent_t event);
  void wait_for_event(cudaEvent_t event);
  [[nodiscard]] bool has_passed(cudaEvent_t event);

  std::size_t handles = 0, descriptors = 0;  // of cuBLASLt and cuDNN
  bool refuses_epilogues = false;
  bool hides_cudnn = false;
  std::vector<Engine> engines;  // of cuDNN
  int device_count = 1;
  int capability = 90;

 private:
  friend Live live();
  friend std::vector<std::string> take_faults();
  friend void fail_call(std::size_t n);
  friend std::size_t calls();
  friend std::string failed_call();
  friend bool failed_in_capture();

  // Between two guards.
  struct Allocation {
    std::byte* base = nullptr;
    std::size_t bytes = 0;
    std::shared_ptr<Touched> touched;
  };
  struct Pinned {
    std::size_t bytes = 0;
    bool registered = false;  // it is somebody's
    std::shared_ptr<Touched> touched;
  };
  // What a stream was given while it was captured: work, an event recorded, or a wait for what another one was given.
  struct Taken {
    std::size_t lane = 0;
    std::function<void()> does = {};
    HostRange host = {};
    cudaEvent_t each_time = nullptr;  // recorded in each launch
    std::size_t behind = 0;           // the number of another one, from 1 on
  };
  struct Graph {
    std::vector<Taken> all;
    std::set<const std::byte*> memory = {};  // that launches have touched: where it begins
    bool stale = false;                      // some of that is gone
  };
  struct Item {
    Moment self;
    VectorClock known;  // of what is over when it begins
    std::function<void()> does;
    HostRange host;
    std::string before = {};                 // what is there, of the host's, which stays so
    Moment behind;                           // of another stream, that has to be over
    std::shared_ptr<Graph> graph = nullptr;  // whose launch it belongs to
  };
  struct Stream {
    std::size_t lane = 0;
    VectorClock clock;
    std::deque<Item> items;
    bool unpinned = false;  // it copies memory that is not pinned, which nobody has waited for
  };
  struct Event {
    Moment at;
    VectorClock clock;
    bool waited_for = false;
    bool asked = false;
  };
  struct Capture {
    cudaStream_t origin = nullptr;
    Graph graph;
    std::map<std::size_t, VectorClock> lanes;  // that take part: what each has come behind; numbers are those of `all`
    std::map<cudaEvent_t, std::pair<std::size_t, VectorClock>> events;
    bool broken = false;
  };
  using Pins = std::map<const std::byte*, Pinned>;

  [[nodiscard]] const Allocation* allocation_at(const void* data) const;
  [[nodiscard]] Pins::iterator pinned_at(const void* data);
  void add(Stream& stream, Item item);
  void run_until(std::size_t lane, std::uint32_t number);
  void touch(const void* data, std::size_t bytes, bool writes);
  void make_stale(const std::byte* memory);  // graphs that touch it
  void forget_copies_of(HostRange memory, std::string_view call);
  // False, and a fault: it stands for nothing.
  bool stands_for_something(const Event& event, std::string_view call);
  void check_guards();
  [[nodiscard]] bool captures(const Stream& stream) const { return capture_ && capture_->lanes.contains(stream.lane); }
  void take_down(const Stream& stream, Taken taken);
  void wait_in_capture(const Stream& stream, cudaEvent_t event);
  void break_capture(std::string why);
  [[nodiscard]] Stream& hidden(std::size_t lane);

  std::map<const std::byte*, Allocation> allocations_;  // by the address that was given out
  mutable std::map<const std::byte*, Allocation>::const_iterator last_ = allocations_.end();  // that was found
  Pins pins_;
  std::map<cudaStream_t, std::unique_ptr<Stream>> streams_;
  std::map<cudaEvent_t, std::unique_ptr<Event>> events_;
  std::unique_ptr<Capture> capture_;
  std::map<cudaGraph_t, std::unique_ptr<Graph>> graphs_;
  std::map<cudaGraphExec_t, std::shared_ptr<Graph>> executables_;
  std::map<std::size_t, cudaStream_t> hidden_;    // on which launches of graphs do what other lanes were given
  std::array<std::uint32_t, kLanesMax> given_{};  // to each lane, ever
  VectorClock host_;
  const Item* now_ = nullptr;  // what happens
  bool said_ = false;          // of it, that it is not ordered
  std::vector<std::string> faults_;
  std::size_t calls_ = 0, failing_ = 0;
  bool failed_in_capture_ = false;
  std::string failed_;
};

Machine& machine();

}  // namespace rubato::cuda_fake
