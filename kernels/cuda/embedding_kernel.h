// The kernels of embeddings, as functions that enqueue them.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

namespace rubato::kernels::cuda {

struct EmbeddingShape {
  std::size_t tokens = 0, positions = 0, rows = 0, width = 0;  // positions of a sample
};

// What enqueue_embedding leaves in *first_wrong where every token is one: four bytes of 0x7F.
inline constexpr std::int32_t kNoneWrong = 0x7F7F7F7F;

// to = the token's row, and that of its position where there is such a table. Into *first_wrong, which was kNoneWrong,
// goes the least index of what is no token.
cudaError_t enqueue_embedding(const EmbeddingShape& shape, const float* tokens, const float* table,
                              const float* position_table, float* to, std::int32_t* first_wrong, cudaStream_t stream);

// What is no token: where it is first, or kNoneWrong, and what is there instead.
struct WrongToken {
  std::int32_t at;
  float value;
};
// Completes it where enqueue_embedding has left its first number.
cudaError_t enqueue_wrong_token(const float* tokens, WrongToken* wrong, cudaStream_t stream);

// Both gradients are overwritten; the second may be null. Sums run in the order of samples and positions, without what
// is no token.
cudaError_t enqueue_embedding_gradient(const EmbeddingShape& shape, const float* tokens, const float* gradient,
                                       float* table, float* position_table, cudaStream_t stream);

}  // namespace rubato::kernels::cuda
