#include "model/layer_list.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/layer_text.h"

namespace rubato::model {
namespace {

using kernels::Activation;
using kernels::TensorShape;

Activation activation_of(const std::string& name) {
  const std::map<std::string, Activation> known{{"relu", Activation::kRelu},
                                                {"tanh", Activation::kTanh},
                                                {"sigmoid", Activation::kSigmoid},
                                                {"gelu", Activation::kGelu}};
  const auto found = known.find(name);
  return found == known.end() ? Activation::kNone : found->second;
}

// The CPU keeps in a byte where in its window a maximum was (kernels/cpu/pool.cc).
constexpr std::int64_t kMaxWindowMax = 15;

std::string text_of(const TensorShape& shape) {
  return fmt::format("{} x {} x {} (height, width, channels)", shape.height, shape.width, shape.channels);
}

class ListBuilder {
 public:
  ListBuilder(NetworkBuilder& net, const ModelConfig& config, std::uint64_t seed)
      : net_(net), config_(config), seed_(seed) {
    tensors_.emplace(kInputName, net.here());
    shapes_.emplace(kInputName, net.shape());
  }

  Status run(const InputShape& input, std::int64_t outputs) {
    RUBATO_ASSIGN(texts_, parse_network(config_.network));
    RUBATO_TRY(check_all_read());
    while (at_ < texts_.size()) RUBATO_TRY(add_next());
    RUBATO_TRY(check_outputs(input, outputs));
    if (!learns_)
      return Error{Cause::kUsage, "model.network: none of its layers has weights: there is nothing to learn"};
    return {};
  }

 private:
  // ---- what is around a layer

  [[nodiscard]] std::string label(std::size_t i) const {
    return fmt::format("model.network: layer {}, \"{}\"", texts_[i].name, config_.network[i]);
  }
  template <class... Arguments>
  Error wrong(fmt::format_string<Arguments...> format, Arguments&&... arguments) const {
    return {Cause::kUsage,
            fmt::format("{}: {}", label(at_), fmt::format(format, std::forward<Arguments>(arguments)...))};
  }

  // The name of what layer i reads.
  [[nodiscard]] std::string source(std::size_t i) const {
    if (!texts_[i].from.empty()) return texts_[i].from;
    return i == 0 ? std::string(kInputName) : texts_[i - 1].name;
  }
  [[nodiscard]] std::ptrdiff_t readers(const std::string& name) const {
    std::ptrdiff_t count = 0;
    for (std::size_t i = 0; i < texts_.size(); ++i)
      count += (source(i) == name ? 1 : 0) + (texts_[i].add == name ? 1 : 0);
    return count;
  }
  // Whether layer i + 1 is of this kind, and all that reads layer i.
  [[nodiscard]] bool alone_before(std::size_t i, auto is_kind) const {
    return i + 1 < texts_.size() && is_kind(texts_[i + 1].kind) && source(i + 1) == texts_[i].name &&
           readers(texts_[i].name) == 1;
  }

  [[nodiscard]] Status check_all_read() const {
    for (std::size_t i = 0; i + 1 < texts_.size(); ++i)
      if (readers(texts_[i].name) == 0)
        return Error{Cause::kUsage, fmt::format("{}: no layer reads what it gives: read it with from={} or add it, or "
                                                "leave it out",
                                                label(i), texts_[i].name)};
    return {};
  }

  // ---- one layer, with those behind it that it does along with its own

  Status add_next() {
    layer_ = texts_[at_];
    net_.go_to(tensors_.at(source(at_)));
    RUBATO_TRY(check());
    std::size_t taken = 1;
    const auto take_activation = [&](bool relu_only) {
      const auto fits = [&](const std::string& kind) {
        return relu_only ? kind == "relu" : activation_of(kind) != Activation::kNone;
      };
      if (!layer_.activation.empty() || !alone_before(at_ + taken - 1, fits)) return;
      layer_.activation = texts_[at_ + taken].kind;
      ++taken;
    };
    if (is({"dense", "conv", "max_pool", "average_pool"})) take_activation(false);
    if (is({"batch_norm"}) && layer_.activation.empty() && layer_.add.empty() &&
        alone_before(at_, [](const std::string& kind) { return kind == "add"; }) &&
        texts_[at_ + 1].add != source(at_) && shapes_.at(texts_[at_ + 1].add) == net_.shape()) {
      layer_.add = texts_[at_ + 1].add;
      layer_.activation = texts_[at_ + 1].activation;
      ++taken;
    }
    if (is({"batch_norm", "add"})) take_activation(true);
    append();
    RUBATO_TRY(net_.status());
    for (; taken > 0; --taken, ++at_) {
      tensors_.emplace(texts_[at_].name, net_.here());
      shapes_.emplace(texts_[at_].name, net_.shape());
    }
    return {};
  }

  [[nodiscard]] bool is(std::initializer_list<std::string_view> kinds) const {
    return std::ranges::find(kinds, layer_.kind) != kinds.end();
  }

  // ---- shapes

  [[nodiscard]] Status check() const {
    const TensorShape& shape = net_.shape();
    if (is({"conv"})) return check_window(layer_.kernel, "kernel");
    if (is({"max_pool", "average_pool"})) {
      if (layer_.padding >= layer_.number)
        return wrong("expected a padding below its window of {}, found {}", layer_.number, layer_.padding);
      if (is({"max_pool"}) && layer_.number > kMaxWindowMax)
        return wrong("expected a window of at most {0} x {0}, found {1}: pool twice, with smaller ones", kMaxWindowMax,
                     layer_.number);
      return check_window(layer_.number, "window");
    }
    if (is({"group_norm"}) && shape.channels % layer_.number != 0)
      return wrong("expected groups that divide the channels, found {} and {}", layer_.number, shape.channels);
    if (is({"attention"})) {
      if (shape.width != 1) return wrong("expected a sequence, of width 1, found {}", text_of(shape));
      if (shape.channels % (3 * layer_.heads) != 0)
        return wrong("expected 3 x {} heads, queries, keys and values, that divide the features, found {} features",
                     layer_.heads, shape.channels);
    }
    if (is({"embedding"})) {
      if (source(at_) != kInputName)
        return wrong("expected tokens, which only the input has, found what layer {} gives: write from={}", source(at_),
                     kInputName);
      if (shape.width != 1 || shape.channels != 1)
        return wrong("expected tokens, one after the other, found {}", text_of(shape));
    }
    return layer_.add.empty() ? Status() : check_sum();
  }

  [[nodiscard]] Status check_window(std::int64_t extent, const char* what) const {
    const TensorShape& shape = net_.shape();
    if (shape.height + 2 * layer_.padding >= extent && shape.width + 2 * layer_.padding >= extent) return {};
    return wrong("expected at least {0} x {0} for its {1}, found {2}{3}", extent, what, text_of(shape),
                 layer_.padding > 0 ? fmt::format(" and a padding of {}", layer_.padding) : "");
  }

  [[nodiscard]] Status check_sum() const {
    if (layer_.add == source(at_)) return wrong("it adds to what {} gives the same again", layer_.add);
    const TensorShape &own = net_.shape(), &added = shapes_.at(layer_.add);
    if (own == added) return {};
    return wrong("expected {} from {}, as from {}, found {}", text_of(own), layer_.add, source(at_), text_of(added));
  }

  [[nodiscard]] Status check_outputs(const InputShape& input, std::int64_t outputs) const {
    const TensorShape& shape = net_.shape();
    const bool for_each = config_.loss == "cross_entropy";  // the loss has labels, else numbers
    const std::int64_t labels = for_each ? input.labels : 1;
    const bool fits = for_each ? shape.channels == outputs && shape.height * shape.width == labels
                               : shape.elements_per_sample() == outputs;
    if (fits) return {};
    const std::string expected = labels > 1 ? fmt::format("{} numbers at each of {} positions", outputs, labels)
                                            : fmt::format("{} number{}", outputs, outputs == 1 ? "" : "s");
    return Error{Cause::kUsage, fmt::format("{}: expected {} for model.loss = \"{}\", as it is the last, found {}",
                                            label(texts_.size() - 1), expected, config_.loss, text_of(shape))};
  }

  // ---- operations

  void append() {
    const std::string& name = layer_.name;
    const TensorShape shape = net_.shape();
    const Activation activation = activation_of(layer_.activation);
    if (is({"dense"})) {
      add(kernels::DenseDesc{shape, layer_.number, activation, layer_.per_position});
    } else if (is({"conv"})) {
      add(kernels::ConvolutionDesc{shape, layer_.number, layer_.kernel, stride(1), layer_.padding, activation,
                                   layer_.bias});
    } else if (is({"max_pool", "average_pool"})) {
      using Kind = kernels::PoolDesc::Kind;
      add(kernels::PoolDesc{shape, is({"max_pool"}) ? Kind::kMax : Kind::kAverage, layer_.number, stride(layer_.number),
                            activation, layer_.padding});
    } else if (is({"global_average"})) {
      net_.global_average(name);
    } else if (is({"batch_norm"})) {
      add(kernels::BatchNormDesc{.input = shape, .activation = activation, .adds = !layer_.add.empty()});
    } else if (is({"layer_norm"})) {
      add(kernels::LayerNormDesc{shape});
    } else if (is({"group_norm"})) {
      add(kernels::GroupNormDesc{shape, layer_.number});
    } else if (is({"add"})) {
      add(kernels::AddDesc{shape, activation});
    } else if (is({"dropout"})) {
      net_.dropout(name, layer_.share, seed_);
    } else if (is({"embedding"})) {
      add(kernels::EmbeddingDesc{shape, layer_.rows, layer_.number, layer_.positions});
    } else if (is({"attention"})) {
      net_.attention(name, layer_.heads);
    } else if (is({"lstm", "gru"})) {
      append_recurrent(shape);
    } else {
      add(kernels::ActivationDesc{shape, activation_of(layer_.kind)});
    }
  }

  // An image is read row by row: in memory it is such a sequence already.
  void append_recurrent(TensorShape shape) {
    using Cell = kernels::RecurrentDesc::Cell;
    const Cell cell = is({"lstm"}) ? Cell::kLstm : Cell::kGru;
    shape.channels *= std::exchange(shape.width, 1);
    for (std::int64_t i = 0; i < layer_.layers; ++i) {
      const bool last = layer_.last && i + 1 == layer_.layers;
      const kernels::RecurrentDesc desc{.input = shape,
                                        .cell = cell,
                                        .units = layer_.number,
                                        .bidirectional = layer_.bidirectional,
                                        .last_only = last};
      net_.append(fmt::format("{}.l{}", layer_.name, i), desc);
      shape = net_.shape();
    }
    learns_ = true;
  }

  void add(const kernels::OpDesc& op) {
    learns_ = learns_ || !kernels::parameter_shapes(op).empty();
    net_.append(layer_.name, op, layer_.add.empty() ? 0 : tensors_.at(layer_.add));
  }

  [[nodiscard]] std::int64_t stride(std::int64_t usual) const { return layer_.stride > 0 ? layer_.stride : usual; }

  NetworkBuilder& net_;
  const ModelConfig& config_;
  const std::uint64_t seed_;
  std::vector<LayerText> texts_;
  std::map<std::string, TensorId, std::less<>> tensors_;
  std::map<std::string, TensorShape, std::less<>> shapes_;
  std::size_t at_ = 0;  // the layer that is added
  LayerText layer_;     // it, with what it does for those behind it
  bool learns_ = false;
};

}  // namespace

Status add_layer_list(NetworkBuilder& net, const ModelConfig& config, const InputShape& input, std::int64_t outputs,
                      std::uint64_t seed) {
  return ListBuilder(net, config, seed).run(input, outputs);
}

}  // namespace rubato::model
