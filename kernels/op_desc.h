// What an operation is, before any device has planned it: its kind, the shape of its input, its
// constants. From these alone follow the shapes of its output and of its parameters.
//
// Tensors are float32 and channels-last (NHWC) wherever they are visible from outside an operation. A
// dense layer reads its input as rows of height * width * channels numbers, so flattening costs nothing;
// the columns of its weights count in that order (PyTorch's flatten counts channels first: export and
// import permute).
//
// Thread-safety: plain values and pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <variant>
#include <vector>

#include "base/no_label.h"

namespace rubato::kernels {

struct TensorShape {
  std::int64_t samples = 0, height = 1, width = 1, channels = 0;

  [[nodiscard]] std::int64_t elements_per_sample() const { return height * width * channels; }
  [[nodiscard]] std::int64_t elements() const { return samples * elements_per_sample(); }
  [[nodiscard]] std::size_t bytes() const { return static_cast<std::size_t>(elements()) * sizeof(float); }
  friend bool operator==(const TensorShape&, const TensorShape&) = default;
};

// Applied to an operation's result before it is written. GELU (Hendrycks and Gimpel 2016) is x times the normal
// distribution's share below x; kGeluTanh is its approximation by a tanh, PyTorch's `approximate='tanh'`.
enum class Activation : std::uint8_t { kNone, kRelu, kTanh, kSigmoid, kGelu, kGeluTanh };

// output = activation(input * weights^T + bias); weights (out, in), bias (out). With `per_position` it is applied to
// the channels at each height and width, in = channels; else to all of a sample. With `visible_bias` there is a third
// parameter, visible_bias (in): the other bias of a restricted Boltzmann machine (kernels/rbm.h), which has no part in
// the operation and a gradient of zeros.
struct DenseDesc {
  TensorShape input = {};
  std::int64_t units = 0;
  Activation activation = Activation::kNone;
  bool per_position = false;
  bool visible_bias = false;
};

// Square kernel, zero padding on every side; weights (out, kernel, kernel, in), bias (out), where it has one.
struct ConvolutionDesc {
  TensorShape input = {};
  std::int64_t channels = 0;
  std::int64_t kernel = 3, stride = 1, padding = 0;
  Activation activation = Activation::kNone;
  bool bias = true;
};

// Square window; rows and columns that fill no window are left out. What is padded is no number: a maximum, or a mean,
// is over what lies within the input. ReLU before a max pool and after it
// are the same, forward and backward; after it, it reads fewer numbers.
struct PoolDesc {
  enum class Kind : std::uint8_t { kMax, kAverage };
  TensorShape input = {};
  Kind kind = Kind::kMax;
  std::int64_t window = 2, stride = 2;
  Activation activation = Activation::kNone;
  std::int64_t padding = 0;
};

// output = activation(input): for what cannot end in one itself. Any but none.
struct ActivationDesc {
  TensorShape input = {};
  Activation activation = Activation::kRelu;
};

// The mean over height and width, for each channel of each sample; of a sequence over the positions that are there
// (SampleKeys::lengths).
struct GlobalAverageDesc {
  TensorShape input = {};
};

// output = activation(input + addend), of tensors of one shape; none or ReLU.
struct AddDesc {
  TensorShape input = {};
  Activation activation = Activation::kNone;
};

// Batch normalization (Ioffe and Szegedy, ICML 2015) for each channel over samples, height and width:
//
//   output = activation((input - mean) / sqrt(variance + epsilon) * weight + bias + addend)
//
// none or ReLU; the addend, a tensor of the output's shape, only where `adds`. In training mean and variance are those
// of the call's samples, the variance divided by their number n; in evaluation, or where they are `fixed`, they are
// parameters 2 and 3, running means (ParameterSpec::average), whose gradient in training is samples times the mean, and
// samples times the variance with n - 1 for n, as PyTorch keeps it; fixed, and of one row's variance, samples times
// themselves. Parameters: weight, bias, running_mean, running_var; one number a channel each.
struct BatchNormDesc {
  TensorShape input = {};
  double epsilon = 1e-5;
  Activation activation = Activation::kNone;
  bool adds = false;
  bool fixed = false;
};

// Zeroes an element with probability `rate` and divides the others by 1 - rate. Whether an element lives
// is a pure function of (seed, epoch, sample id, layer, element), so the answer does not depend on which
// worker computes the sample, nor in which leaf.
struct DropoutDesc {
  TensorShape input = {};
  double rate = 0.0;
  std::uint64_t seed = 0;
  std::uint32_t layer = 0;
};

// A sequence is a tensor with height = positions, width = 1 and channels = features.

// Of the channels at each position, with PyTorch's meaning: (x - mean) / sqrt(variance + epsilon) * weight + bias,
// where the variance is that of the numbers at hand (divided by n). Weight (channels), bias (channels).
struct LayerNormDesc {
  TensorShape input = {};
  double epsilon = 1e-5;
};

// The same over height x width x channels / groups, for each sample and group of neighbouring channels; `groups`
// divides the channels. Weight (channels), bias (channels).
struct GroupNormDesc {
  TensorShape input = {};
  std::int64_t groups = 1;
  double epsilon = 1e-5;
};

// Row `token` of the table for each position, whose one number is the token's: whole, from 0 to rows - 1; others are an
// error. With `positions` a row of a second table is added, one for each position. Table (rows, width), second table
// (positions, width). The numbers of tokens have no gradient: it is zero.
struct EmbeddingDesc {
  TensorShape input = {};
  std::int64_t rows = 0, width = 0;
  bool positions = false;
};

// Causal self-attention with `heads` heads (Vaswani et al. 2017): the input's channels are the queries, keys and values
// of a position, one after the other, each cut into heads; the output's are a third of them. In each head a position's
// output is the mean of the values up to its own, weighted by the softmax of its query's products with their keys, over
// sqrt(channels of a head). PyTorch: scaled_dot_product_attention(is_causal=True).
struct AttentionDesc {
  TensorShape input = {};
  std::int64_t heads = 1;
};

// One layer of torch.nn.LSTM (Hochreiter and Schmidhuber 1997) or torch.nn.GRU (Cho et al. 2014), from a state of
// zeros. Of the positions the output has one after the other the cell's states h; or, with `last_only`, that of the
// position read last. Gates are i, f, g, o and r, z, n, as PyTorch orders them; weight_ih (gates * units, in),
// weight_hh (gates * units, units), bias_ih and bias_hh (gates * units). There are two biases, as in PyTorch: one
// instead of them would learn at half the rate.
//
// `bidirectional` (Schuster and Paliwal 1997): a second cell, with four such parameters of its own behind those of the
// first, reads from the last position to the first; its states are the output's channels behind the first one's, with
// `last_only` that of the first position.
//
// Of a sample that ends earlier (SampleKeys::lengths) it is PyTorch's on a PackedSequence: the second cell begins, and
// the first one's last state is, at the sample's own last position; outputs behind it are zero.
struct RecurrentDesc {
  enum class Cell : std::uint8_t { kLstm, kGru };
  TensorShape input = {};
  Cell cell = Cell::kLstm;
  std::int64_t units = 0;
  bool bidirectional = false, last_only = false;

  [[nodiscard]] std::int64_t gates() const { return cell == Cell::kLstm ? 4 : 3; }
  [[nodiscard]] std::int64_t directions() const { return bidirectional ? 2 : 1; }
};

using OpDesc =
    std::variant<DenseDesc, ConvolutionDesc, PoolDesc, ActivationDesc, DropoutDesc, GlobalAverageDesc, AddDesc,
                 BatchNormDesc, LayerNormDesc, GroupNormDesc, EmbeddingDesc, AttentionDesc, RecurrentDesc>;

// From scores to a loss for each sample. With PyTorch's meaning: cross-entropy of the softmax of the
// scores; binary cross-entropy of the sigmoid of each score; squared error of each score. The last two
// are means over the outputs of a sample.
//
// Cross-entropy may have a label for each of several positions of a sample, whose loss is then the mean over them. What
// has kNoLabel for a label, a position or with any loss a sample, counts for nothing. With `smoothing` e the label's
// class is to have the probability 1 - e + e / outputs, and each other one e / outputs (Szegedy et al., CVPR 2016).
//
// `class_weights`, one for each class or none, multiply: of the two cross-entropies each class's part of a loss. It is
// (1 - e) w[label] l[label] + e / outputs * sum(w[c] l[c]), with l[c] for -log of what class c got, and of binary
// cross-entropy w[label] times what it is without.
struct LossDesc {
  enum class Kind : std::uint8_t { kCrossEntropy, kBinaryCrossEntropy, kMeanSquaredError };
  Kind kind = Kind::kCrossEntropy;
  std::int64_t samples = 0;
  std::int64_t outputs = 0;  // for each position
  std::int64_t positions = 1;
  double smoothing = 0.0;
  std::vector<double> class_weights = {};
};

[[nodiscard]] inline TensorShape input_shape(const OpDesc& desc) {
  return std::visit([](const auto& d) { return d.input; }, desc);
}

[[nodiscard]] inline OpDesc with_samples(OpDesc desc, std::int64_t samples) {
  std::visit([&](auto& d) { d.input.samples = samples; }, desc);
  return desc;
}

// Whether it reads a second tensor, of the shape of its output.
[[nodiscard]] inline bool has_addend(const OpDesc& desc) {
  const auto* norm = std::get_if<BatchNormDesc>(&desc);
  return std::holds_alternative<AddDesc>(desc) || (norm != nullptr && norm->adds);
}

// An extent of zero or less says that the kernel or window does not fit into the input.
[[nodiscard]] inline TensorShape output_shape(const OpDesc& desc) {
  struct Visitor {
    static std::int64_t extent(std::int64_t input, std::int64_t kernel, std::int64_t stride, std::int64_t padding) {
      const std::int64_t room = input + 2 * padding - kernel;
      return room < 0 ? 0 : room / stride + 1;
    }
    TensorShape operator()(const DenseDesc& d) const {
      if (d.per_position) return {d.input.samples, d.input.height, d.input.width, d.units};
      return {d.input.samples, 1, 1, d.units};
    }
    TensorShape operator()(const ConvolutionDesc& d) const {
      return {d.input.samples, extent(d.input.height, d.kernel, d.stride, d.padding),
              extent(d.input.width, d.kernel, d.stride, d.padding), d.channels};
    }
    TensorShape operator()(const PoolDesc& d) const {
      return {d.input.samples, extent(d.input.height, d.window, d.stride, d.padding),
              extent(d.input.width, d.window, d.stride, d.padding), d.input.channels};
    }
    TensorShape operator()(const GlobalAverageDesc& d) const { return {d.input.samples, 1, 1, d.input.channels}; }
    TensorShape operator()(const ActivationDesc& d) const { return d.input; }
    TensorShape operator()(const AddDesc& d) const { return d.input; }
    TensorShape operator()(const BatchNormDesc& d) const { return d.input; }
    TensorShape operator()(const DropoutDesc& d) const { return d.input; }
    TensorShape operator()(const LayerNormDesc& d) const { return d.input; }
    TensorShape operator()(const GroupNormDesc& d) const { return d.input; }
    TensorShape operator()(const AttentionDesc& d) const {
      return {d.input.samples, d.input.height, d.input.width, d.input.channels / 3};
    }
    TensorShape operator()(const RecurrentDesc& d) const {
      const std::int64_t channels = d.directions() * d.units;
      if (d.last_only) return {d.input.samples, 1, 1, channels};
      return {d.input.samples, d.input.height, d.input.width, channels};
    }
    TensorShape operator()(const EmbeddingDesc& d) const {
      return {d.input.samples, d.input.height, d.input.width, d.width};
    }
  };
  return std::visit(Visitor{}, desc);
}

// In canonical layouts; weights before bias; empty where an operation has no parameters.
[[nodiscard]] inline std::vector<std::vector<std::int64_t>> parameter_shapes(const OpDesc& desc) {
  if (const auto* dense = std::get_if<DenseDesc>(&desc)) {
    const std::int64_t inputs = dense->per_position ? dense->input.channels : dense->input.elements_per_sample();
    std::vector<std::vector<std::int64_t>> shapes{{dense->units, inputs}, {dense->units}};
    if (dense->visible_bias) shapes.push_back({inputs});
    return shapes;
  }
  if (const auto* conv = std::get_if<ConvolutionDesc>(&desc)) {
    std::vector<std::vector<std::int64_t>> shapes{{conv->channels, conv->kernel, conv->kernel, conv->input.channels}};
    if (conv->bias) shapes.push_back({conv->channels});
    return shapes;
  }
  if (std::holds_alternative<LayerNormDesc>(desc) || std::holds_alternative<GroupNormDesc>(desc)) {
    return {{input_shape(desc).channels}, {input_shape(desc).channels}};
  }
  if (const auto* recurrent = std::get_if<RecurrentDesc>(&desc)) {
    const std::int64_t rows = recurrent->gates() * recurrent->units;
    std::vector<std::vector<std::int64_t>> shapes;
    for (std::int64_t i = 0; i < recurrent->directions(); ++i)
      shapes.insert(shapes.end(), {{rows, recurrent->input.channels}, {rows, recurrent->units}, {rows}, {rows}});
    return shapes;
  }
  if (const auto* embedding = std::get_if<EmbeddingDesc>(&desc)) {
    std::vector<std::vector<std::int64_t>> tables = {{embedding->rows, embedding->width}};
    if (embedding->positions) tables.push_back({embedding->input.elements_per_sample(), embedding->width});
    return tables;
  }
  if (const auto* norm = std::get_if<BatchNormDesc>(&desc)) return std::vector(4, std::vector{norm->input.channels});
  return {};
}

}  // namespace rubato::kernels
