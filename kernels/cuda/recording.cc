#include "kernels/cuda/recording.h"

#include <type_traits>
#include <utility>

namespace rubato::kernels::cuda {
namespace {

struct DestroyGraph {
  void operator()(cudaGraph_t graph) const { cudaGraphDestroy(graph); }
};
struct DestroyExecutable {
  void operator()(cudaGraphExec_t executable) const { cudaGraphExecDestroy(executable); }
};
using Graph = std::unique_ptr<std::remove_pointer_t<cudaGraph_t>, DestroyGraph>;
using Executable = std::unique_ptr<std::remove_pointer_t<cudaGraphExec_t>, DestroyExecutable>;

class CudaRecording final : public Recording {
 public:
  CudaRecording(const Stream& stream, Executable executable) : stream_(stream), executable_(std::move(executable)) {}
  Status replay() override {
    return check(cudaGraphLaunch(executable_.get(), stream_.get()), "cudaGraphLaunch on stream {}", stream_.name());
  }

 private:
  const Stream& stream_;
  const Executable executable_;
};

Result<Graph> end_capture(const Stream& compute) {
  cudaGraph_t taken = nullptr;
  RUBATO_TRY(check(cudaStreamEndCapture(compute.get(), &taken), "cudaStreamEndCapture of stream {}", compute.name()));
  return Graph(taken);
}

}  // namespace

Status begin_recording(const Stream& compute, CopyStreams& copies) {
  RUBATO_TRY(check(cudaStreamBeginCapture(compute.get(), cudaStreamCaptureModeThreadLocal),
                   "cudaStreamBeginCapture of stream {}", compute.name()));
  const Status forked = copies.fork(compute);
  if (!forked.ok()) (void)end_capture(compute);
  return forked;
}

Result<std::unique_ptr<Recording>> end_recording(const Stream& compute, CopyStreams& copies) {
  const Status joined = copies.join(compute);
  const Result<Graph> graph = end_capture(compute);
  if (!joined.ok()) return joined.error();
  if (!graph.ok()) return graph.error();
  cudaGraphExec_t made = nullptr;
  RUBATO_TRY(check(cudaGraphInstantiate(&made, graph->get(), 0), "cudaGraphInstantiate of what stream {} was given",
                   compute.name()));
  return std::unique_ptr<Recording>(std::make_unique<CudaRecording>(compute, Executable(made)));
}

}  // namespace rubato::kernels::cuda
