// The interface between the models and a device.
//
// A device plans an operation once for one shape (`Device::plan`). The plan, an `Op`, says what memory
// it wants; its owner (model/step_plan.h) hands it fixed addresses with `bind` and then only calls it:
// nothing is looked up, hashed or allocated in a step.
//
// What is whose:
// - Activations and their gradients lie in memory of the device (`Device::allocate`), channels-last where anybody
//   else reads them; between operations in a layout of the device's own, where both can (model/layouts.h).
// - Parameters and their gradients cross this interface as spans of host memory in canonical layouts
//   (kernels/op_desc.h). In what layout an Op keeps weights, and whether it copies them at all, is its
//   secret: on the CPU a dense layer reads the weights where they lie and writes its gradient where it
//   is wanted.
// - `saved` is what forward leaves for backward; `scratch` lives for one call and may be shared by all
//   Ops of a device, since it runs one call at a time.
//
// Order of calls in a step: load (each parameter), forward; then, in training, begin_backward,
// backward_weights if the Op has parameters to train, and backward_data if its input gradient is wanted.
// backward_weights is a call of its own, so that a gradient can leave early and the first layer computes
// no input gradient. It overwrites: summing leaves is the caller's business (`tree_add`).
//
// A device may go on while its caller does: then calls enqueue, in their order, and what they read and write of the
// host's stays as it is until it is known to be over. A step begins with `begin_step`; gradients are there once a mark
// behind them (`mark_copies`) has passed, what a loss comes to once Loss::result is back; and whoever ends a step
// early, for an error, calls `abandon`. The CPU does everything at once, and its marks have passed. Copies are beside
// computing only of memory that is pinned (`pin`); others are waited for, each by itself.
//
// Determinism: equal inputs, plan and number of threads give equal bits, whatever was computed before.
//
// Thread-safety: a Device, its Ops and its memory belong to one thread at a time; a device must outlive
// what it made.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "kernels/op_desc.h"
#include "kernels/rbm.h"
#include "kernels/sample_keys.h"

namespace rubato::kernels {

// Owns memory of a device; zero when allocated.
class Buffer {
 public:
  using Release = void (*)(void* data, std::size_t bytes);

  Buffer() = default;
  Buffer(void* data, std::size_t bytes, Release release) : data_(data), bytes_(bytes), release_(release) {}
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    swap(other);
    return *this;
  }
  ~Buffer() {
    if (data_ != nullptr) release_(data_, bytes_);
  }

  [[nodiscard]] std::byte* data() const { return static_cast<std::byte*>(data_); }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  void swap(Buffer& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    std::swap(release_, other.release_);
  }

  void* data_ = nullptr;
  std::size_t bytes_ = 0;
  Release release_ = nullptr;
};

// How a tensor lies in memory of the device: channels-last, or as the device likes it better, which is its secret.
enum class Layout : std::uint8_t { kRows, kOwn };

// Memory of the host that stays pinned for as long as this lives.
struct Unpin {
  void* owner = nullptr;
  void (*release)(void* owner, std::byte* memory) = nullptr;
  void operator()(std::byte* memory) const { release(owner, memory); }
};
using Pinned = std::unique_ptr<std::byte, Unpin>;

// How far a device's copies to the host are. Of one step; 0 has always passed.
using CopyMark = std::uint32_t;

struct PlanHint {
  bool training = true;        // false: forward only, nothing is saved
  bool input_gradient = true;  // backward_data will be called
  // Of the input and of the output, and of the gradients of each; an addend lies as the output does.
  Layout input = Layout::kRows, output = Layout::kRows;
};

// Which tensors of an operation may have the device's own layout.
struct OwnLayouts {
  bool input = false, output = false;
  bool alike = false;  // only if all of them have it: input, output and addend
};

struct Algorithm {
  std::string call;            // "forward", "backward_data", ...
  std::string implementation;  // in the words of the library that does it
};

struct OpInfo {
  TensorShape input, output;
  std::size_t saved_bytes = 0;
  std::size_t scratch_bytes = 0;
  std::size_t private_bytes = 0;  // that it keeps for itself: weights and gradients in layouts of its own
  bool adds_gradients = false;    // it takes Ports::second_gradient
  std::vector<Algorithm> algorithms;
};

// Device addresses. Those that the plan does not use may be null.
struct Ports {
  float* input = nullptr;
  float* output = nullptr;           // must survive until backward
  float* output_gradient = nullptr;  // begin_backward may overwrite it
  float* input_gradient = nullptr;
  void* saved = nullptr;
  void* scratch = nullptr;
  const float* addend = nullptr;           // where it has one (has_addend)
  const float* second_gradient = nullptr;  // null, or: begin_backward adds it to output_gradient first
};

class Op {
 public:
  virtual ~Op() = default;

  [[nodiscard]] virtual const OpInfo& info() const = 0;

  // Once, before the first call.
  virtual void bind(const Ports& ports) = 0;

  // Gives the values of parameter `index` (0: weights, 1: bias), which stay valid and unchanged until
  // the step ends. Equal versions mean equal values: what was derived from them is kept.
  virtual Status load(std::size_t index, std::span<const float> values, Version version) = 0;

  virtual Status forward(const SampleKeys& keys) = 0;
  // Before a recording of forward is replayed: lays what keys are now where forward has read them.
  virtual void prepare(const SampleKeys& /*keys*/) {}
  // Why its calls cannot be recorded; empty: they can.
  [[nodiscard]] virtual std::string_view unrecordable() const { return {}; }
  // What was wrong with the inputs of the last forward, if only the device could see it. Waits for that.
  virtual Status findings() { return {}; }

  // Undoes the activation, in place. What is in output_gradient then is the gradient of the addend, too.
  virtual Status begin_backward() = 0;
  // One span for each parameter; overwritten when a mark behind the call has passed.
  virtual Status backward_weights(std::span<const std::span<float>> gradients) = 0;
  virtual Status backward_data() = 0;
};

// One of the two, by kind: cross-entropy wants samples * positions labels in [0, outputs), or kNoLabel; the others take
// `values`, samples * outputs numbers, or, where that is empty, labels: one-hot, or 0 and 1 for a single output, or
// kNoLabel.
struct Targets {
  std::span<const std::int32_t> labels;
  std::span<const float> values;
};

struct LossResult {
  double loss_sum = 0.0;  // over the samples, in their order
  double correct = 0.0;   // the same, of the share of a sample's labels that were predicted; 0 without labels
};

class Loss {
 public:
  virtual ~Loss() = default;

  // Without a gradient the loss is only computed. The gradient is that of the sum over the samples.
  virtual void bind(const float* scores, float* gradient) = 0;
  // Writes the class predicted for each position of each sample: the greatest score, of equal ones the first; with
  // a single output, whether it is positive. Targets and predictions stay until result() is back.
  virtual Status enqueue(const Targets& targets, std::span<std::int32_t> predictions) = 0;
  // Before a recording of enqueue() is replayed, as if it were called.
  virtual void prepare(const Targets& /*targets*/, std::span<std::int32_t> /*predictions*/) {}
  // Of what was enqueued last. Waits for it.
  virtual Result<LossResult> result() = 0;

  Result<LossResult> run(const Targets& targets, std::span<std::int32_t> predictions) {
    RUBATO_TRY(enqueue(targets, predictions));
    return result();
  }
};

// Inputs that are brought to a device before the step that reads them, while the one before is computed.
class Prefetch {
 public:
  virtual ~Prefetch() = default;
  // The host's memory is its owner's again when this returns. What was started before and not taken is lost.
  virtual Status start(std::span<const float> host) = 0;
  // Of what was started last: what is enqueued from now on finds it at `device`.
  virtual Status take(float* device) = 0;
};

// Calls that a device has taken down instead of enqueuing them.
class Recording {
 public:
  virtual ~Recording() = default;
  // Enqueues them all at once, behind what was enqueued before.
  virtual Status replay() = 0;
};

class Device {
 public:
  virtual ~Device() = default;

  // For people: "cpu, 2 threads, oneDNN 2.6.3, avx512_core".
  [[nodiscard]] virtual std::string description() const = 0;

  // Makes the calling thread the one that uses the device. Cheap; call it when a step starts.
  virtual void enter() = 0;

  // Whatever was loaded and brought before may be overwritten once what was enqueued before has read it.
  virtual Status begin_step() { return {}; }
  // Behind all gradients that were enqueued so far.
  virtual Result<CopyMark> mark_copies() { return CopyMark{0}; }
  virtual Result<bool> has_passed(CopyMark /*mark*/) { return true; }
  virtual Status wait_for(CopyMark /*mark*/) { return {}; }
  // Waits until nothing is under way, whatever becomes of it.
  virtual void abandon() {}

  // Whether it can record calls: those between begin_recording and end_recording, which has to follow whatever happens
  // in between. Addresses are kept, and of the host's memory all has to be pinned. Marks are those of each replay.
  [[nodiscard]] virtual bool records() const { return false; }
  virtual Status begin_recording() { return Error{Cause::kDevice, "this device records nothing"}; }
  virtual Result<std::unique_ptr<Recording>> end_recording() {
    return Error{Cause::kDevice, "this device records nothing"};
  }

  virtual Result<Buffer> allocate(std::size_t bytes) = 0;
  // Whether it is of any use to pin memory. / Best whole pages: none may be pinned twice. Outlived by the memory, and
  // by the device. Errors: kDevice.
  [[nodiscard]] virtual bool pins_memory() const { return false; }
  [[nodiscard]] virtual bool is_pinned(std::span<const std::byte> /*memory*/) const { return false; }
  virtual Result<Pinned> pin(std::span<std::byte> /*memory*/) { return Pinned{}; }
  virtual Status copy_in(float* device, std::span<const float> host) = 0;
  virtual Status copy_out(std::span<float> host, const float* device) = 0;
  // For so many numbers at a time; null: of no use here.
  virtual Result<std::unique_ptr<Prefetch>> plan_prefetch(std::size_t /*count*/) { return std::unique_ptr<Prefetch>(); }
  // What is enqueued from now on finds it there.
  virtual Status bring(float* device, std::span<const float> host) { return copy_in(device, host); }

  virtual Result<std::unique_ptr<Op>> plan(const OpDesc& desc, const PlanHint& hint) = 0;
  [[nodiscard]] virtual OwnLayouts own_layouts(const OpDesc& /*desc*/) const { return {}; }
  virtual Result<std::unique_ptr<Loss>> plan_loss(const LossDesc& desc) = 0;
  virtual Result<std::unique_ptr<Rbm>> plan_rbm(const RbmDesc& /*desc*/) {
    return Error{Cause::kDevice, "this device has no restricted Boltzmann machines: say worker.device = \"cpu\""};
  }

  // to += from, of its own memory: the gradient of a tensor that two operations read.
  virtual Status add(float* to, const float* from, std::size_t count) = 0;

  // dst += src, of host memory: one node of the tree that sums the gradients of leaves.
  virtual void tree_add(std::span<float> dst, std::span<const float> src) = 0;
};

// What convolutions and dense layers multiply, and on a GPU attention: their inputs, weights and gradients as they are,
// or rounded to bfloat16, or to TF32, which has float32's range and 10 bits behind the point. Products are summed in
// float32, and whatever is visible from outside of an operation lies as float32 with each.
enum class Precision : std::uint8_t { kFloat32, kBfloat16, kTf32 };

struct DeviceConfig {
  std::string name = "auto";  // auto, cpu, cuda or cuda:N
  int threads = 1;            // compute threads, of the CPU
  Precision precision = Precision::kFloat32;
  bool graphs = true;       // of CUDA: Device::records
  bool only_plans = false;  // memory is reserved and not touched: for who asks what a plan takes, and runs nothing
};

// Errors: kUsage for an unknown name, kDevice where the device is not there, or does not have the precision. In
// kernels/open_device.cc (target rubato_devices).
[[nodiscard]] Result<std::unique_ptr<Device>> open_device(const DeviceConfig& config);

}  // namespace rubato::kernels
