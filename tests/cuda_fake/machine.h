// The fake's memory, streams and faults: what its halves (runtime.cc, cublas_lt.cc, cudnn.cc, host_kernel.cc) share.
//
// Thread-safety: none.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/cuda_fake/fake.h"

namespace rubato::cuda_fake {

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

  [[nodiscard]] cudaStream_t create_stream();
  void destroy_stream(cudaStream_t stream);
  // A fault, if it is none.
  bool is_stream(cudaStream_t stream, std::string_view what);
  void enqueue(cudaStream_t stream, std::function<void()> work);
  void wait_for(cudaStream_t stream);
  void wait_for_all();
  // What a GPU does that has failed: nothing of what it was given.
  void give_up();

  std::size_t handles = 0, descriptors = 0;  // of cuBLASLt and cuDNN
  bool refuses_epilogues = false;
  bool hides_cudnn = false;
  std::vector<Engine> engines;  // of cuDNN
  int device_count = 1;

 private:
  friend Live live();
  friend std::vector<std::string> take_faults();
  friend void fail_call(std::size_t n);
  friend std::size_t calls();
  friend std::string failed_call();

  // Between two guards.
  struct Allocation {
    std::byte* base = nullptr;
    std::size_t bytes = 0;
  };
  using Work = std::vector<std::function<void()>>;

  [[nodiscard]] const Allocation* allocation_at(const void* data) const;
  void check_guards();

  std::map<const std::byte*, Allocation> allocations_;  // by the address that was given out
  std::map<cudaStream_t, std::unique_ptr<Work>> streams_;
  std::vector<std::string> faults_;
  std::size_t calls_ = 0, failing_ = 0;
  std::string failed_;
};

Machine& machine();

}  // namespace rubato::cuda_fake
