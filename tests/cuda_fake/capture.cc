// Capture and graphs: of the machine, and the CUDA runtime's functions of them.
//
// A launch of a graph does what its first stream was given on the stream that it is launched on, and what other streams
// were given on hidden ones: nothing orders that but what was captured.
#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <utility>

#include "tests/cuda_fake/machine.h"

namespace rubato::cuda_fake {

bool Machine::begin_capture(cudaStream_t stream) {
  if (capture_) {
    fault("cudaStreamBeginCapture while another one goes on");
    return false;
  }
  capture_ = std::make_unique<Capture>();
  capture_->origin = stream;
  capture_->lanes[streams_.at(stream)->lane] = {};
  return true;
}

void Machine::break_capture(std::string why) {
  // What goes wrong behind a call that was made to fail is no mistake.
  if (!std::exchange(capture_->broken, true) && !failed_in_capture_) fault(std::move(why));
}

bool Machine::breaks_capture(std::string_view call) {
  if (!capture_) return false;
  break_capture(fmt::format("{} while a stream is captured", call));
  return true;
}

// Numbers in a capture's clocks are those of what was taken down, from 1 on.
void Machine::take_down(const Stream& stream, Taken taken) {
  capture_->graph.all.push_back(std::move(taken));
  capture_->lanes.at(stream.lane).learn(moment_of(stream.lane, static_cast<std::uint32_t>(capture_->graph.all.size())));
}

void Machine::wait_in_capture(const Stream& stream, cudaEvent_t event) {
  const auto found = capture_->events.find(event);
  if (found == capture_->events.end())
    return break_capture("a captured stream waits for an event that was recorded before, which no graph has");
  const auto& [number, clock] = found->second;
  capture_->lanes[stream.lane].learn(clock);
  take_down(stream, {.lane = stream.lane, .behind = number});
}

cudaGraph_t Machine::end_capture(cudaStream_t stream) {
  if (!capture_ || capture_->origin != stream) {
    fault("cudaStreamEndCapture of what is not captured");
    return nullptr;
  }
  const std::unique_ptr<Capture> ended = std::move(capture_);
  if (ended->broken) return nullptr;
  const VectorClock& last = ended->lanes.at(streams_.at(stream)->lane);
  for (std::size_t i = 0; i < ended->graph.all.size(); ++i)
    if (!last.knows(moment_of(ended->graph.all[i].lane, static_cast<std::uint32_t>(i + 1)))) {
      if (!failed_in_capture_) fault("cudaStreamEndCapture while a stream that was forked is not joined");
      return nullptr;
    }
  auto made = std::make_unique<Graph>(ended->graph);
  auto* const handle = reinterpret_cast<cudaGraph_t>(made.get());
  graphs_[handle] = std::move(made);
  return handle;
}

void Machine::destroy_graph(cudaGraph_t graph) {
  if (graphs_.erase(graph) == 0) fault("cudaGraphDestroy of what is no graph");
}

cudaGraphExec_t Machine::instantiate(cudaGraph_t graph) {
  auto made = std::make_shared<Graph>(*graphs_.at(graph));
  auto* const handle = reinterpret_cast<cudaGraphExec_t>(made.get());
  executables_[handle] = std::move(made);
  return handle;
}

void Machine::destroy_executable(cudaGraphExec_t executable) {
  if (executables_.erase(executable) == 0) fault("cudaGraphExecDestroy of what is no graph");
}

Machine::Stream& Machine::hidden(std::size_t lane) {
  cudaStream_t& stream = hidden_[lane];
  if (stream == nullptr) stream = create_stream();
  return *streams_.at(stream);
}

bool Machine::launch(cudaGraphExec_t executable, cudaStream_t stream) {
  if (!executables_.contains(executable)) {
    fault("cudaGraphLaunch of what is no graph");
    return false;
  }
  const std::shared_ptr<Graph>& graph = executables_.at(executable);
  if (graph->stale) {
    fault("cudaGraphLaunch of a graph that touches memory that is gone");
    return false;
  }
  const std::vector<Taken>& all = graph->all;
  Stream& origin = *streams_.at(stream);
  const auto on = [&](std::size_t lane) -> Stream& { return lane == origin.lane ? origin : hidden(lane); };
  add(origin, {});
  const Moment begun = moment_of(origin.lane, given_[origin.lane]);
  const VectorClock at_begin = origin.clock;
  std::vector<std::pair<Moment, VectorClock>> done(all.size() + 1, {begun, at_begin});  // by number; 0: the begin
  std::array<bool, kLanesMax> begins{};
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Taken& taken = all[i];
    Stream& to = on(taken.lane);
    if (&to != &origin && !std::exchange(begins[taken.lane], true)) to.clock = at_begin;
    const auto& [behind, clock] = done[taken.behind];
    add(to, {.self = {}, .known = {}, .does = taken.does, .host = taken.host, .before = {}, .behind = behind});
    to.items.back().graph = graph;
    to.clock.learn(clock);
    to.items.back().known.learn(clock);
    const Moment self = moment_of(to.lane, given_[to.lane]);
    done[i + 1] = {self, to.clock};
    if (taken.each_time == nullptr) continue;
    Event& event = *events_.at(taken.each_time);
    if (event.at.number > 0 && !event.waited_for && !host_.knows(event.at))
      fault("cudaGraphLaunch records an event that stands for what nobody has waited for yet");
    event = {.at = self, .clock = to.clock};
  }
  return true;
}

}  // namespace rubato::cuda_fake

using rubato::cuda_fake::machine;

extern "C" {

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode /*mode*/) {
  constexpr const char* kName = "cudaStreamBeginCapture";
  if (machine().fails(kName)) return cudaErrorUnknown;
  if (!machine().is_stream(stream, kName) || !machine().begin_capture(stream)) return cudaErrorInvalidValue;
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  const bool fails = machine().fails("cudaStreamEndCapture");
  *graph = machine().end_capture(stream);
  if (fails && *graph != nullptr) machine().destroy_graph(std::exchange(*graph, nullptr));
  return fails ? cudaErrorUnknown : *graph == nullptr ? cudaErrorStreamCaptureInvalidated : cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  machine().destroy_graph(graph);
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long /*flags*/) {
  if (machine().fails("cudaGraphInstantiate")) return cudaErrorMemoryAllocation;
  *executable = machine().instantiate(graph);
  return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  machine().destroy_executable(executable);
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  constexpr const char* kName = "cudaGraphLaunch";
  if (machine().fails(kName)) return cudaErrorUnknown;
  if (machine().breaks_capture(kName)) return cudaErrorStreamCaptureUnsupported;
  if (!machine().is_stream(stream, kName) || !machine().launch(executable, stream)) return cudaErrorInvalidValue;
  return cudaSuccess;
}

}  // extern "C"
