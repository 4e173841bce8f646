// cuDNN's calls for recurrent layers: one layer, double biases, float32, samples one after the other; whatever else
// could be asked for is not supported. What they do is recurrent_layer.h's.
#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/cuda_fake/cudnn.h"
#include "tests/cuda_fake/machine.h"
#include "tests/cuda_fake/recurrent_layer.h"

namespace rubato::cuda_fake {
namespace {

constexpr std::size_t kWorkBytes = 512;

// What else they hold nobody asks for.
struct Tensor {};
struct Dropout {
  bool set = false;
};
struct Sequence {
  int positions = 0, samples = 0, width = 0;
  std::vector<std::int32_t> lengths;
  std::optional<float> fill;
};

template <typename T, typename Handle>
T& of(Handle handle) {
  return *reinterpret_cast<T*>(handle);
}

template <typename T, typename Handle>
cudnnStatus_t create(const char* call, Handle* handle) {
  if (machine().fails(call)) return CUDNN_STATUS_ALLOC_FAILED;
  *handle = reinterpret_cast<Handle>(new T);
  ++machine().descriptors;
  return CUDNN_STATUS_SUCCESS;
}

template <typename T, typename Handle>
cudnnStatus_t destroy(Handle handle) {
  delete reinterpret_cast<T*>(handle);
  --machine().descriptors;
  return CUDNN_STATUS_SUCCESS;
}

// A call's layer with its sequences; none where they do not fit.
std::optional<RecurrentLayer> layer_of(cudnnRNNDescriptor_t handle, cudnnRNNDataDescriptor_t x_handle,
                                       cudnnRNNDataDescriptor_t y_handle) {
  RecurrentLayer layer = of<RecurrentLayer>(handle);
  const auto &x = of<Sequence>(x_handle), &y = of<Sequence>(y_handle);
  if (x.width != layer.inputs || y.width != layer.directions * layer.units || x.positions != y.positions ||
      x.lengths != y.lengths)
    return std::nullopt;
  layer.samples = x.samples;
  layer.positions = x.positions;
  layer.lengths = x.lengths;
  return layer;
}

struct Memory {
  const void* data;
  std::size_t bytes;
  bool written = false;
};
using Memories = std::vector<Memory>;  // of a call; null: it has none of that

bool are_there(const char* call, const Memories& all) {
  for (const Memory& memory : all)
    if (memory.data != nullptr && !machine().covers(memory.data, memory.bytes, call)) return false;
  return true;
}

// Of all three calls: the lengths on the device are those of the descriptions, and work memory is no number behind.
template <typename Work>
void enqueue(cudnnHandle_t handle, const char* call, const RecurrentLayer& layer, const std::int32_t* lengths,
             void* work, const Memories& all, Work&& does) {
  machine().enqueue(cudnn_of(handle).stream, [=, does = std::forward<Work>(does)] {
    for (const Memory& memory : all)
      memory.written ? machine().writes(memory.data, memory.bytes) : machine().reads(memory.data, memory.bytes);
    if (!std::equal(layer.lengths.begin(), layer.lengths.end(), lengths))
      machine().fault(std::string(call) + ": the lengths on the device are others");
    does(layer);
    std::memset(work, 0xFF, kWorkBytes);
  });
}

std::size_t bytes_of(const RecurrentLayer& layer, std::int64_t width) {
  return static_cast<std::size_t>(layer.samples * layer.positions * width) * sizeof(float);
}

}  // namespace
}  // namespace rubato::cuda_fake

using namespace rubato::cuda_fake;

extern "C" {

cudnnStatus_t cudnnCreateTensorDescriptor(cudnnTensorDescriptor_t* tensor) {
  return create<Tensor>("cudnnCreateTensorDescriptor", tensor);
}
cudnnStatus_t cudnnDestroyTensorDescriptor(cudnnTensorDescriptor_t tensor) { return destroy<Tensor>(tensor); }
cudnnStatus_t cudnnSetTensorNdDescriptor(cudnnTensorDescriptor_t, cudnnDataType_t type, int count, const int[],
                                         const int[]) {
  if (machine().fails("cudnnSetTensorNdDescriptor")) return CUDNN_STATUS_BAD_PARAM;
  return type == CUDNN_DATA_FLOAT && count == 3 ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_NOT_SUPPORTED;
}

cudnnStatus_t cudnnCreateDropoutDescriptor(cudnnDropoutDescriptor_t* dropout) {
  return create<Dropout>("cudnnCreateDropoutDescriptor", dropout);
}
cudnnStatus_t cudnnDestroyDropoutDescriptor(cudnnDropoutDescriptor_t dropout) { return destroy<Dropout>(dropout); }
cudnnStatus_t cudnnSetDropoutDescriptor(cudnnDropoutDescriptor_t dropout, cudnnHandle_t, float rate, void*, size_t,
                                        unsigned long long) {
  if (machine().fails("cudnnSetDropoutDescriptor")) return CUDNN_STATUS_BAD_PARAM;
  of<Dropout>(dropout).set = true;
  return rate == 0.0f ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_NOT_SUPPORTED;
}

cudnnStatus_t cudnnCreateRNNDescriptor(cudnnRNNDescriptor_t* layer) {
  return create<RecurrentLayer>("cudnnCreateRNNDescriptor", layer);
}
cudnnStatus_t cudnnDestroyRNNDescriptor(cudnnRNNDescriptor_t layer) { return destroy<RecurrentLayer>(layer); }
cudnnStatus_t cudnnSetRNNDescriptor_v8(cudnnRNNDescriptor_t layer, cudnnRNNAlgo_t algorithm, cudnnRNNMode_t cell,
                                       cudnnRNNBiasMode_t biases, cudnnDirectionMode_t directions,
                                       cudnnRNNInputMode_t input, cudnnDataType_t type, cudnnDataType_t precision,
                                       cudnnMathType_t math, int32_t inputs, int32_t units, int32_t projected,
                                       int32_t layers, cudnnDropoutDescriptor_t dropout, uint32_t flags) {
  if (machine().fails("cudnnSetRNNDescriptor_v8")) return CUDNN_STATUS_BAD_PARAM;
  if (algorithm != CUDNN_RNN_ALGO_STANDARD || (cell != CUDNN_LSTM && cell != CUDNN_GRU) ||
      biases != CUDNN_RNN_DOUBLE_BIAS || input != CUDNN_LINEAR_INPUT || type != CUDNN_DATA_FLOAT ||
      precision != CUDNN_DATA_FLOAT || math != CUDNN_FMA_MATH || projected != units || layers != 1 ||
      !of<Dropout>(dropout).set || flags != CUDNN_RNN_PADDED_IO_ENABLED)
    return CUDNN_STATUS_NOT_SUPPORTED;
  of<RecurrentLayer>(layer) = {.lstm = cell == CUDNN_LSTM,
                               .directions = directions == CUDNN_BIDIRECTIONAL ? 2 : 1,
                               .inputs = inputs,
                               .units = units};
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnCreateRNNDataDescriptor(cudnnRNNDataDescriptor_t* sequence) {
  return create<Sequence>("cudnnCreateRNNDataDescriptor", sequence);
}
cudnnStatus_t cudnnDestroyRNNDataDescriptor(cudnnRNNDataDescriptor_t sequence) { return destroy<Sequence>(sequence); }
cudnnStatus_t cudnnSetRNNDataDescriptor(cudnnRNNDataDescriptor_t sequence, cudnnDataType_t type,
                                        cudnnRNNDataLayout_t layout, int positions, int samples, int width,
                                        const int lengths[], void* fill) {
  if (machine().fails("cudnnSetRNNDataDescriptor")) return CUDNN_STATUS_BAD_PARAM;
  if (type != CUDNN_DATA_FLOAT || layout != CUDNN_RNN_DATA_LAYOUT_BATCH_MAJOR_UNPACKED)
    return CUDNN_STATUS_NOT_SUPPORTED;
  for (int sample = 0; sample < samples; ++sample)
    if (lengths[sample] < 1 || lengths[sample] > positions) return CUDNN_STATUS_BAD_PARAM;
  of<Sequence>(sequence) = {positions, samples, width, {lengths, lengths + samples}, std::nullopt};
  if (fill != nullptr) of<Sequence>(sequence).fill = *static_cast<const float*>(fill);
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnGetRNNWeightSpaceSize(cudnnHandle_t, cudnnRNNDescriptor_t layer, size_t* bytes) {
  if (machine().fails("cudnnGetRNNWeightSpaceSize")) return CUDNN_STATUS_BAD_PARAM;
  *bytes = of<RecurrentLayer>(layer).weight_floats() * sizeof(float);
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnGetRNNTempSpaceSizes(cudnnHandle_t, cudnnRNNDescriptor_t handle, cudnnForwardMode_t mode,
                                        cudnnRNNDataDescriptor_t x, size_t* work, size_t* reserve) {
  if (machine().fails("cudnnGetRNNTempSpaceSizes")) return CUDNN_STATUS_BAD_PARAM;
  RecurrentLayer layer = of<RecurrentLayer>(handle);
  layer.samples = of<Sequence>(x).samples;
  layer.positions = of<Sequence>(x).positions;
  *work = kWorkBytes;
  *reserve = mode == CUDNN_FWD_MODE_TRAINING ? layer.reserve_doubles() * sizeof(double) : 0;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnGetRNNWeightParams(cudnnHandle_t, cudnnRNNDescriptor_t handle, int32_t direction, size_t bytes,
                                      const void* weights, int32_t id, cudnnTensorDescriptor_t, void** matrix,
                                      cudnnTensorDescriptor_t, void** bias) {
  if (machine().fails("cudnnGetRNNWeightParams")) return CUDNN_STATUS_BAD_PARAM;
  const auto& layer = of<RecurrentLayer>(handle);
  if (direction >= layer.directions || id >= 2 * layer.gates() || bytes != layer.weight_floats() * sizeof(float))
    return CUDNN_STATUS_BAD_PARAM;
  const RecurrentLayer::Part part = layer.part(direction, id);
  auto* const first = const_cast<float*>(static_cast<const float*>(weights));
  *matrix = first + part.matrix;
  *bias = first + part.bias;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnRNNForward(cudnnHandle_t handle, cudnnRNNDescriptor_t desc, cudnnForwardMode_t mode,
                              const int32_t lengths[], cudnnRNNDataDescriptor_t x_desc, const void* x,
                              cudnnRNNDataDescriptor_t y_desc, void* y, cudnnTensorDescriptor_t, const void* hx,
                              void* hy, cudnnTensorDescriptor_t, const void* cx, void* cy, size_t weight_bytes,
                              const void* weights, size_t work_bytes, void* work, size_t reserve_bytes, void* reserve) {
  constexpr const char* kName = "cudnnRNNForward";
  if (machine().fails(kName)) return CUDNN_STATUS_EXECUTION_FAILED;
  const auto layer = layer_of(desc, x_desc, y_desc);
  if (hx != nullptr || hy != nullptr || cx != nullptr || cy != nullptr) return CUDNN_STATUS_NOT_SUPPORTED;
  const bool training = mode == CUDNN_FWD_MODE_TRAINING;
  if (!layer || weight_bytes != layer->weight_floats() * sizeof(float) || work_bytes < kWorkBytes ||
      training != (reserve != nullptr) || (training && reserve_bytes < layer->reserve_doubles() * sizeof(double)))
    return CUDNN_STATUS_BAD_PARAM;
  const Memories all_memory = {{lengths, layer->lengths.size() * sizeof(int32_t)},
                               {x, bytes_of(*layer, layer->inputs)},
                               {y, bytes_of(*layer, layer->directions * layer->units), true},
                               {weights, weight_bytes},
                               {work, work_bytes, true},
                               {reserve, reserve_bytes, true}};
  if (!are_there(kName, all_memory)) return CUDNN_STATUS_BAD_PARAM;
  const float fill = of<Sequence>(y_desc).fill.value_or(std::numeric_limits<float>::quiet_NaN());
  enqueue(handle, kName, *layer, lengths, work, all_memory, [=](const RecurrentLayer& all) {
    all.forward(static_cast<const float*>(x), static_cast<float*>(y), static_cast<const float*>(weights),
                static_cast<double*>(reserve), fill);
  });
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnRNNBackwardData_v8(cudnnHandle_t handle, cudnnRNNDescriptor_t desc, const int32_t lengths[],
                                      cudnnRNNDataDescriptor_t y_desc, const void* y, const void* dy,
                                      cudnnRNNDataDescriptor_t x_desc, void* dx, cudnnTensorDescriptor_t,
                                      const void* hx, const void* dhy, void* dhx, cudnnTensorDescriptor_t,
                                      const void* cx, const void* dcy, void* dcx, size_t weight_bytes,
                                      const void* weights, size_t work_bytes, void* work, size_t reserve_bytes,
                                      void* reserve) {
  constexpr const char* kName = "cudnnRNNBackwardData_v8";
  if (machine().fails(kName)) return CUDNN_STATUS_EXECUTION_FAILED;
  const auto layer = layer_of(desc, x_desc, y_desc);
  for (const void* state : {hx, dhy, static_cast<const void*>(dhx), cx, dcy, static_cast<const void*>(dcx)})
    if (state != nullptr) return CUDNN_STATUS_NOT_SUPPORTED;
  if (!layer || weight_bytes != layer->weight_floats() * sizeof(float) || work_bytes < kWorkBytes ||
      reserve_bytes < layer->reserve_doubles() * sizeof(double))
    return CUDNN_STATUS_BAD_PARAM;
  const std::size_t y_bytes = bytes_of(*layer, layer->directions * layer->units);
  const Memories all_memory = {{lengths, layer->lengths.size() * sizeof(int32_t)},
                               {y, y_bytes},
                               {dy, y_bytes},
                               {dx, bytes_of(*layer, layer->inputs), true},
                               {weights, weight_bytes},
                               {work, work_bytes, true},
                               {reserve, reserve_bytes, true}};
  if (!are_there(kName, all_memory)) return CUDNN_STATUS_BAD_PARAM;
  enqueue(handle, kName, *layer, lengths, work, all_memory, [=](const RecurrentLayer& all) {
    all.backward_data(static_cast<const float*>(y), static_cast<const float*>(dy), static_cast<float*>(dx),
                      static_cast<const float*>(weights), static_cast<double*>(reserve));
  });
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnRNNBackwardWeights_v8(cudnnHandle_t handle, cudnnRNNDescriptor_t desc, cudnnWgradMode_t mode,
                                         const int32_t lengths[], cudnnRNNDataDescriptor_t x_desc, const void* x,
                                         cudnnTensorDescriptor_t, const void* hx, cudnnRNNDataDescriptor_t y_desc,
                                         const void* y, size_t weight_bytes, void* gradient, size_t work_bytes,
                                         void* work, size_t reserve_bytes, void* reserve) {
  constexpr const char* kName = "cudnnRNNBackwardWeights_v8";
  if (machine().fails(kName)) return CUDNN_STATUS_EXECUTION_FAILED;
  const auto layer = layer_of(desc, x_desc, y_desc);
  if (mode != CUDNN_WGRAD_MODE_ADD || hx != nullptr) return CUDNN_STATUS_NOT_SUPPORTED;
  if (!layer || weight_bytes != layer->weight_floats() * sizeof(float) || work_bytes < kWorkBytes ||
      reserve_bytes < layer->reserve_doubles() * sizeof(double))
    return CUDNN_STATUS_BAD_PARAM;
  const Memories all_memory = {{lengths, layer->lengths.size() * sizeof(int32_t)},
                               {x, bytes_of(*layer, layer->inputs)},
                               {y, bytes_of(*layer, layer->directions * layer->units)},
                               {gradient, weight_bytes, true},
                               {work, work_bytes, true},
                               {reserve, reserve_bytes, true}};
  if (!are_there(kName, all_memory)) return CUDNN_STATUS_BAD_PARAM;
  enqueue(handle, kName, *layer, lengths, work, all_memory, [=](const RecurrentLayer& all) {
    all.backward_weights(static_cast<const float*>(x), static_cast<const float*>(y),
                         static_cast<const double*>(reserve), static_cast<float*>(gradient));
  });
  return CUDNN_STATUS_SUCCESS;
}

}  // extern "C"
