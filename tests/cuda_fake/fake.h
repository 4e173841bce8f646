// A functional fake of CUDA: the functions of the runtime, of cuBLASLt and of cuDNN that Rubato calls, on the host.
// Memory of the device is the host's, copies copy, products multiply, kernels run (host_kernel.h). Code of the product
// is linked with it in the place of the libraries: who calls what is not faked is not linked.
//
// What it is strict about, more than a GPU may be:
// - nothing that a stream is given happens before somebody waits for it;
// - memory is full of NaN when it is allocated, and so is scratch memory behind a product;
// - every address has to lie in live memory of the device, with as much room as the call takes, and nothing may be
//   written beside it; whatever is wrong there is a fault, which fails the test (fake_listener.cc), as does what is
//   left at its end;
// - an engine of cuDNN's that adds with atomics gives other bits each time, and one on tensor cores rounds;
// - threads of a block go in ascending order in one launch and in descending order in the next, each as far as the next
//   barrier: where one is missing results differ;
// - two threads that touch the same memory, at least one to write, with no barrier between, are a fault (race_check.h);
// - so are two streams, with no event between that says which is first (happens_before.h);
// - a copy from or to memory that is not pinned is no copy beside anything, and no event is recorded behind it before
// it
//   was waited for; pinned memory is not given back, and not changed by the host, while a copy is under way;
// - while a stream is captured nothing waits or asks, nobody waits for what was enqueued before, and streams that were
//   forked from it are joined at its end; what a graph does in each launch is ordered by what was captured alone;
// - an event is not recorded again before somebody has waited for what it stood for, and nobody waits for one that was
//   never recorded.
//
// It cannot show speed, nor the libraries' own numerics and algorithms.
//
// Thread-safety: none; one thread at a time.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace rubato::cuda_fake {

// How many there are that somebody has to give back.
struct Live {
  std::size_t allocations = 0, streams = 0, handles = 0, descriptors = 0, events = 0, pinned = 0, graphs = 0;
  [[nodiscard]] std::size_t all() const {
    return allocations + streams + handles + descriptors + events + pinned + graphs;
  }
};
[[nodiscard]] Live live();

// What was done that must not be, since the last time.
[[nodiscard]] std::vector<std::string> take_faults();

// The n-th of the calls that can fail fails, counted from 1 and from now on; 0: none. What gives something back does
// not: the program has nobody to tell.
void fail_call(std::size_t n);
// Calls that could have failed since then; and the name of the one that did, or nothing.
[[nodiscard]] std::size_t calls();
[[nodiscard]] std::string failed_call();
// Whether it was one that captures, or made while something was captured.
[[nodiscard]] bool failed_in_capture();

// An engine that cuDNN has for a graph, and what it says of it.
struct Engine {
  bool atomic = false;        // its bits differ from one run to the next
  bool tensor_cores = false;  // it multiplies numbers of 11 bits
  bool compiled = false;      // when its plan is made
  bool supported = true;      // where not, its plan cannot be made
  std::size_t scratch_bytes = 0;
  bool fallback = false;  // named only when others are asked for than the best
};
// What cuDNN has, from now on, the best one first; empty: what it has when a test begins, of which the last one will
// do.
void offer_engines(std::vector<Engine> engines);

// cuDNN is not installed, from now on.
void hide_cudnn(bool hidden);
// How many GPUs the machine has: one, at first.
void set_device_count(int count);
// What they are: 90, an H100, at first.
void set_capability(int capability);
// cuBLASLt has no algorithm with an epilogue, from now on.
void refuse_epilogues(bool refuse);

}  // namespace rubato::cuda_fake
