// What an LSTM's or a GRU's cell does with one sample at one position, besides the products of matrices: from the two
// products to the gates and the new state, and back. A sample's gates at a position are a row of four times `units`
// numbers: i, f, g, o, or r, z, n, q, where q is what a GRU's state says to n before r decides about it.
//
// Backward turns a row of gates into the row of their gradients before the activation. A GRU's q is the product with
// the state in the third gate, and n's gradient belongs to the input's product alone.
//
// Thread-safety: pure apart from what they are given to write.
#pragma once

#include <cstdint>

namespace rubato::kernels {

struct CellBiases {
  const float *input = nullptr, *state = nullptr;
};

// `gates`: in, the input's product; out, the gates. `product`: the state's. The cell's inner state goes from
// `cell_before` to `cell`, which may be the same.
struct LstmForward {
  float* gates;
  const float *product, *cell_before;
  float *cell, *state;
};
void forward(std::int64_t units, const CellBiases& biases, const LstmForward& at);

// `state`: in, the one before; out, the new one.
struct GruForward {
  float* gates;
  const float* product;
  float* state;
};
void forward(std::int64_t units, const CellBiases& biases, const GruForward& at);

// `state_gradient`: of the new state, from the positions after it; `output_gradient`: its own, or null.
// `cell_gradient` goes from the new inner state's to that of the one before.
struct LstmBackward {
  float* gates;
  const float *cell_before, *cell, *output_gradient, *state_gradient;
  float* cell_gradient;
};
void backward(std::int64_t units, const LstmBackward& at);

// `state_gradient`: in, as above; out, what of it goes straight to the state before.
struct GruBackward {
  float* gates;
  const float *state_before, *output_gradient;
  float* state_gradient;
};
void backward(std::int64_t units, const GruBackward& at);

}  // namespace rubato::kernels
