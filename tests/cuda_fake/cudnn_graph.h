// Graphs of several operations on the fake's cuDNN: products, pointwise functions, reductions and views, one after the
// other, each of its whole tensor. What is between them lies nowhere, and is rounded to the type that it is said to
// have. There is no engine for a pattern here: whatever is right by itself is done, in double, and rounded once.
//
// Thread-safety: none.
#pragma once

#include <cudnn.h>

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "tests/cuda_fake/cudnn_descriptor.h"

namespace rubato::cuda_fake {

[[nodiscard]] bool is_graph_operation(cudnnBackendDescriptorType_t kind);
// What has to be set of such an operation, or of what it refers to: a product, a reduction, a pointwise function.
[[nodiscard]] std::vector<cudnnBackendAttributeName_t> graph_attributes(cudnnBackendDescriptorType_t kind);
// Whether the operation's tensors fit each other, and it is one that Rubato asks for.
[[nodiscard]] bool is_right_operation(const Descriptor& operation);
// Whether tensor cores multiply what its products multiply: bfloat16.
[[nodiscard]] bool has_types(const std::vector<const Descriptor*>& operations);
// Whether what lies nowhere is computed before it is read.
[[nodiscard]] bool is_ordered(const std::vector<const Descriptor*>& operations);

// A graph with the addresses that it is given; a value, which refers to no descriptor.
class GraphRun {
 public:
  // Nothing: an address is missing, or is of nothing in the graph, or has no room.
  static std::optional<GraphRun> make(const std::vector<const Descriptor*>& operations, const Descriptor& pack);
  // From within what is enqueued.
  void compute() const;

 private:
  struct Tensor {
    explicit Tensor(const Descriptor& descriptor);
    StridedTensor shape;
    bool nowhere = false, on_host = false;
    void* at = nullptr;
    double value = 0.0;  // of what is read from the host, which is read when it is asked for
  };
  struct Step {
    cudnnBackendDescriptorType_t kind = CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR;
    int mode = 0;
    std::int64_t axis = 0;
    std::int64_t x = 0, y = 0;
    std::optional<std::int64_t> b, t;  // ids
  };
  using Values = std::map<std::int64_t, std::vector<double>>;

  std::int64_t add(const Descriptor& tensor);
  [[nodiscard]] const std::vector<double>& read(std::int64_t id, Values& values) const;
  void write(std::int64_t id, std::vector<double> computed, Values& values) const;
  [[nodiscard]] std::vector<double> result_of(const Step& step, Values& values) const;
  [[nodiscard]] std::vector<double> product(const Step& step, Values& values) const;
  [[nodiscard]] std::vector<double> reduced(const Step& step, Values& values) const;
  [[nodiscard]] std::vector<double> view(const Step& step, Values& values) const;
  [[nodiscard]] std::vector<double> pointwise(const Step& step, Values& values) const;

  std::map<std::int64_t, Tensor> tensors_;
  std::vector<Step> steps_;
};

}  // namespace rubato::cuda_fake
