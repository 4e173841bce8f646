#include "kernels/cuda/embedding_kernel.h"
#include "kernels/cuda/launch.h"
#include "kernels/tokens.h"

namespace rubato::kernels::cuda {
namespace {

__global__ void embedding_kernel(EmbeddingShape shape, const float* tokens, const float* table,
                                 const float* position_table, float* to, std::int32_t* first_wrong) {
  for (std::size_t i = first_index(); i < shape.tokens * shape.width; i += index_stride()) {
    const std::size_t at = i / shape.width, column = i % shape.width;
    if (!is_token(tokens[at], static_cast<std::int64_t>(shape.rows))) {
      if (column == 0) atomicMin(first_wrong, static_cast<std::int32_t>(at));
      continue;
    }
    float value = table[static_cast<std::size_t>(tokens[at]) * shape.width + column];
    if (position_table != nullptr) value += position_table[at % shape.positions * shape.width + column];
    to[i] = value;
  }
}

__global__ void wrong_token_kernel(const float* tokens, WrongToken* wrong) {
  if (first_index() == 0) wrong->value = wrong->at == kNoneWrong ? 0.0f : tokens[wrong->at];
}

// A thread for each column, since two tokens may be one row, and which is added first must not be left to chance. Of a
// narrow table that is few threads; a device may want tokens sorted by their rows.
__global__ void embedding_gradient_kernel(EmbeddingShape shape, const float* tokens, const float* gradient,
                                          float* table, float* position_table) {
  for (std::size_t column = first_index(); column < shape.width; column += index_stride()) {
    for (std::size_t row = 0; row < shape.rows; ++row) table[row * shape.width + column] = 0.0f;
    for (std::size_t row = 0; position_table != nullptr && row < shape.positions; ++row)
      position_table[row * shape.width + column] = 0.0f;
    for (std::size_t at = 0; at < shape.tokens; ++at) {
      if (!is_token(tokens[at], static_cast<std::int64_t>(shape.rows))) continue;
      const float value = gradient[at * shape.width + column];
      table[static_cast<std::size_t>(tokens[at]) * shape.width + column] += value;
      if (position_table != nullptr) position_table[at % shape.positions * shape.width + column] += value;
    }
  }
}

}  // namespace

cudaError_t enqueue_embedding(const EmbeddingShape& shape, const float* tokens, const float* table,
                              const float* position_table, float* to, std::int32_t* first_wrong, cudaStream_t stream) {
  return launch(embedding_kernel, grid_over(shape.tokens * shape.width), stream, shape, tokens, table, position_table,
                to, first_wrong);
}

cudaError_t enqueue_wrong_token(const float* tokens, WrongToken* wrong, cudaStream_t stream) {
  return launch(wrong_token_kernel, grid_over(1), stream, tokens, wrong);
}

cudaError_t enqueue_embedding_gradient(const EmbeddingShape& shape, const float* tokens, const float* gradient,
                                       float* table, float* position_table, cudaStream_t stream) {
  return launch(embedding_gradient_kernel, grid_over(shape.width), stream, shape, tokens, gradient, table,
                position_table);
}

}  // namespace rubato::kernels::cuda
