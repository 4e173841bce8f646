// Events: of the machine, and the CUDA runtime's functions of them.
#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <utility>

#include "tests/cuda_fake/machine.h"

namespace rubato::cuda_fake {

cudaEvent_t Machine::create_event() {
  auto made = std::make_unique<Event>();
  auto* const handle = reinterpret_cast<cudaEvent_t>(made.get());
  events_[handle] = std::move(made);
  return handle;
}

void Machine::destroy_event(cudaEvent_t event) {
  if (is_event(event, "cudaEventDestroy")) events_.erase(event);
}

bool Machine::is_event(cudaEvent_t event, std::string_view what) {
  if (events_.contains(event)) return true;
  fault(fmt::format("{} of what is no event", what));
  return false;
}

void Machine::record(cudaEvent_t event, cudaStream_t stream, bool external) {
  Event& recorded = *events_.at(event);
  if (const Stream& on = *streams_.at(stream); captures(on)) {
    if (external) return take_down(on, {.lane = on.lane, .each_time = event});
    std::size_t last = capture_->graph.all.size();  // of its own; 0: the begin
    while (last > 0 && capture_->graph.all[last - 1].lane != on.lane) --last;
    capture_->events[event] = {last, capture_->lanes.at(on.lane)};
    return;
  }
  if (external) fault("cudaEventRecordWithFlags for each launch, outside of a capture");
  if (recorded.at.number > 0 && !recorded.waited_for && !host_.knows(recorded.at))
    fault("cudaEventRecord of an event that stands for what nobody has waited for yet");
  Stream& on = *streams_.at(stream);
  if (on.unpinned) fault("cudaEventRecord behind a copy of memory that is not pinned, which is beside nothing");
  add(on, {});
  recorded = {.at = moment_of(on.lane, given_[on.lane]), .clock = on.clock};
}

bool Machine::stands_for_something(const Event& event, std::string_view call) {
  if (event.at.number > 0) return true;
  fault(fmt::format("{} for an event that was never recorded", call));
  return false;
}

void Machine::wait_for_event(cudaStream_t stream, cudaEvent_t event) {
  if (capture_ && (captures(*streams_.at(stream)) || capture_->events.contains(event)))
    return wait_in_capture(*streams_.at(stream), event);
  Event& waited = *events_.at(event);
  if (!stands_for_something(waited, "cudaStreamWaitEvent")) return;
  waited.waited_for = true;
  Stream& who = *streams_.at(stream);
  add(who, {.self = {}, .known = {}, .does = {}, .host = {}, .behind = waited.at});
  who.clock.learn(waited.clock);
}

void Machine::wait_for_event(cudaEvent_t event) {
  Event& waited = *events_.at(event);
  if (!stands_for_something(waited, "cudaEventSynchronize")) return;
  waited.waited_for = true;
  run_until(waited.at.lane, waited.at.number);
  host_.learn(waited.clock);
  check_guards();
}

bool Machine::has_passed(cudaEvent_t event) {
  Event& asked = *events_.at(event);
  if (!stands_for_something(asked, "cudaEventQuery")) return true;
  if (!host_.knows(asked.at) && !std::exchange(asked.asked, true)) return false;
  wait_for_event(event);
  return true;
}

}  // namespace rubato::cuda_fake

using rubato::cuda_fake::machine;

namespace {

cudaError_t record(const char* call, cudaEvent_t event, cudaStream_t stream, unsigned flags) {
  if (machine().fails(call)) return cudaErrorUnknown;
  if (!machine().is_event(event, call) || !machine().is_stream(stream, call)) return cudaErrorInvalidValue;
  machine().record(event, stream, flags == cudaEventRecordExternal);
  return cudaSuccess;
}

}  // namespace

extern "C" {

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned /*flags*/) {
  if (machine().fails("cudaEventCreateWithFlags")) return cudaErrorUnknown;
  *event = machine().create_event();
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  machine().destroy_event(event);
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  return record("cudaEventRecord", event, stream, cudaEventRecordDefault);
}

cudaError_t cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t stream, unsigned flags) {
  return record("cudaEventRecordWithFlags", event, stream, flags);
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned /*flags*/) {
  constexpr const char* kName = "cudaStreamWaitEvent";
  if (machine().fails(kName)) return cudaErrorUnknown;
  if (!machine().is_event(event, kName) || !machine().is_stream(stream, kName)) return cudaErrorInvalidValue;
  machine().wait_for_event(stream, event);
  return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  constexpr const char* kName = "cudaEventSynchronize";
  if (machine().fails(kName)) {
    machine().give_up();
    return cudaErrorUnknown;
  }
  if (!machine().is_event(event, kName)) return cudaErrorInvalidValue;
  if (machine().breaks_capture(kName)) return cudaErrorStreamCaptureUnsupported;
  machine().wait_for_event(event);
  return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  constexpr const char* kName = "cudaEventQuery";
  if (machine().fails(kName)) {
    machine().give_up();
    return cudaErrorUnknown;
  }
  if (!machine().is_event(event, kName)) return cudaErrorInvalidValue;
  if (machine().breaks_capture(kName)) return cudaErrorStreamCaptureUnsupported;
  return machine().has_passed(event) ? cudaSuccess : cudaErrorNotReady;
}

}  // extern "C"
