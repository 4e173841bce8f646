#include "kernels/cpu/recurrent_cell.h"

#include "kernels/cpu/lanes.h"

namespace rubato::kernels {
namespace {

template <typename Some>
Lanes output_gradient(const float* from, std::int64_t u, Some part) {
  return from == nullptr ? Lanes{} : read(from + u, part);
}

}  // namespace

void forward(std::int64_t units, const CellBiases& biases, const LstmForward& at) {
  over_lanes(units, [&](std::int64_t u, auto part) {
    const auto before = [&](std::int64_t gate) {
      const std::int64_t i = gate * units + u;
      return read(at.gates + i, part) + read(at.product + i, part) +
             (read(biases.input + i, part) + read(biases.state + i, part));
    };
    const Lanes in = sigmoid_of(before(0)), forget = sigmoid_of(before(1));
    const Lanes fresh = tanh_of(before(2)), out = sigmoid_of(before(3));
    const Lanes cell = forget * read(at.cell_before + u, part) + in * fresh;
    write(at.gates + u, in, part);
    write(at.gates + units + u, forget, part);
    write(at.gates + 2 * units + u, fresh, part);
    write(at.gates + 3 * units + u, out, part);
    write(at.cell + u, cell, part);
    write(at.state + u, out * tanh_of(cell), part);
  });
}

void forward(std::int64_t units, const CellBiases& biases, const GruForward& at) {
  over_lanes(units, [&](std::int64_t u, auto part) {
    const auto from_input = [&](std::int64_t gate) {
      return read(at.gates + gate * units + u, part) + read(biases.input + gate * units + u, part);
    };
    const auto from_state = [&](std::int64_t gate) {
      return read(at.product + gate * units + u, part) + read(biases.state + gate * units + u, part);
    };
    const Lanes reset = sigmoid_of(from_input(0) + from_state(0)), keeps = sigmoid_of(from_input(1) + from_state(1));
    const Lanes said = from_state(2), fresh = tanh_of(from_input(2) + reset * said);
    write(at.gates + u, reset, part);
    write(at.gates + units + u, keeps, part);
    write(at.gates + 2 * units + u, fresh, part);
    write(at.gates + 3 * units + u, said, part);
    write(at.state + u, (1.0f - keeps) * fresh + keeps * read(at.state + u, part), part);
  });
}

void backward(std::int64_t units, const LstmBackward& at) {
  over_lanes(units, [&](std::int64_t u, auto part) {
    const Lanes in = read(at.gates + u, part), forget = read(at.gates + units + u, part);
    const Lanes fresh = read(at.gates + 2 * units + u, part), out = read(at.gates + 3 * units + u, part);
    const Lanes shown = tanh_of(read(at.cell + u, part));
    const Lanes state = read(at.state_gradient + u, part) + output_gradient(at.output_gradient, u, part);
    const Lanes cell = read(at.cell_gradient + u, part) + state * out * (1.0f - shown * shown);
    write(at.gates + u, cell * fresh * (in * (1.0f - in)), part);
    write(at.gates + units + u, cell * read(at.cell_before + u, part) * (forget * (1.0f - forget)), part);
    write(at.gates + 2 * units + u, cell * in * (1.0f - fresh * fresh), part);
    write(at.gates + 3 * units + u, state * shown * (out * (1.0f - out)), part);
    write(at.cell_gradient + u, cell * forget, part);
  });
}

void backward(std::int64_t units, const GruBackward& at) {
  over_lanes(units, [&](std::int64_t u, auto part) {
    const Lanes reset = read(at.gates + u, part), keeps = read(at.gates + units + u, part);
    const Lanes fresh = read(at.gates + 2 * units + u, part), said = read(at.gates + 3 * units + u, part);
    const Lanes state = read(at.state_gradient + u, part) + output_gradient(at.output_gradient, u, part);
    const Lanes before_tanh = state * (1.0f - keeps) * (1.0f - fresh * fresh);
    write(at.gates + u, before_tanh * said * (reset * (1.0f - reset)), part);
    write(at.gates + units + u, state * (read(at.state_before + u, part) - fresh) * (keeps * (1.0f - keeps)), part);
    write(at.gates + 2 * units + u, before_tanh, part);
    write(at.gates + 3 * units + u, before_tanh * reset, part);
    write(at.state_gradient + u, state * keeps, part);
  });
}

}  // namespace rubato::kernels
