#include "base/layer_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <map>
#include <optional>
#include <sstream>
#include <utility>

#include "base/lower_case.h"
#include "base/nearest.h"
#include "base/whole_number.h"

namespace rubato {
namespace {

using Words = std::vector<std::string>;

constexpr std::int64_t kNumberMax = 1 << 24;

enum class Behind : std::uint8_t { kNothing, kNumber, kShare, kName };  // what stands behind the kind

struct Kind {
  std::string_view name;
  Behind behind;
  std::string_view what;              // it is
  std::string_view options;           // with a value, or true or false
  std::string_view activations;       // that it may end in
  std::string_view placeholder = "";  // for what stands behind it
};
constexpr std::string_view kActivations = "relu tanh sigmoid gelu";
constexpr auto kKinds = std::to_array<Kind>({
    {"dense", Behind::kNumber, "its units", "per_position", kActivations, "UNITS"},
    {"conv", Behind::kNumber, "its channels", "kernel stride padding bias", kActivations, "CHANNELS"},
    {"max_pool", Behind::kNumber, "its window", "stride padding", kActivations, "WINDOW"},
    {"average_pool", Behind::kNumber, "its window", "stride padding", kActivations, "WINDOW"},
    {"global_average", Behind::kNothing, "", "", ""},
    {"batch_norm", Behind::kNothing, "", "add", "relu"},
    {"layer_norm", Behind::kNothing, "", "", ""},
    {"group_norm", Behind::kNumber, "its groups", "", "", "GROUPS"},
    {"relu", Behind::kNothing, "", "", ""},
    {"tanh", Behind::kNothing, "", "", ""},
    {"sigmoid", Behind::kNothing, "", "", ""},
    {"gelu", Behind::kNothing, "", "", ""},
    {"add", Behind::kName, "the layer that it adds", "", "relu", "LAYER"},
    {"dropout", Behind::kShare, "the share that it drops, above 0 and below 1", "", "", "SHARE"},
    {"embedding", Behind::kNumber, "its features", "rows positions", "", "FEATURES"},
    {"lstm", Behind::kNumber, "its units", "layers last bidirectional", "", "UNITS"},
    {"gru", Behind::kNumber, "its units", "layers last bidirectional", "", "UNITS"},
    {"attention", Behind::kNothing, "", "heads", ""},
});

struct NumberOption {
  std::string_view name;
  std::int64_t LayerText::*value;
  std::int64_t least;
};
constexpr std::array<NumberOption, 6> kNumbers{{{"kernel", &LayerText::kernel, 1},
                                                {"stride", &LayerText::stride, 1},
                                                {"padding", &LayerText::padding, 0},
                                                {"rows", &LayerText::rows, 1},
                                                {"layers", &LayerText::layers, 1},
                                                {"heads", &LayerText::heads, 1}}};
struct Flag {
  std::string_view name;
  bool LayerText::*value;
};
constexpr std::array<Flag, 5> kFlags{{{"bias", &LayerText::bias},
                                      {"per_position", &LayerText::per_position},
                                      {"last", &LayerText::last},
                                      {"bidirectional", &LayerText::bidirectional},
                                      {"positions", &LayerText::positions}}};

// What others call them.
struct OtherKind {
  std::string_view name, kind;
};
constexpr auto kOtherKinds = std::to_array<OtherKind>({{"convolution", "conv"},
                                                       {"conv2d", "conv"},
                                                       {"linear", "dense"},
                                                       {"fc", "dense"},
                                                       {"fully_connected", "dense"},
                                                       {"pool", "max_pool"},
                                                       {"maxpool", "max_pool"},
                                                       {"maxpool2d", "max_pool"},
                                                       {"max_pooling", "max_pool"},
                                                       {"avg_pool", "average_pool"},
                                                       {"avgpool", "average_pool"},
                                                       {"avgpool2d", "average_pool"},
                                                       {"global_average_pool", "global_average"},
                                                       {"batchnorm2d", "batch_norm"},
                                                       {"bn", "batch_norm"},
                                                       {"groupnorm", "group_norm"},
                                                       {"layernorm", "layer_norm"},
                                                       {"multi_head_attention", "attention"}});

Words words_of(std::string_view text) {
  std::istringstream stream{std::string(text)};
  Words words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

bool has(std::string_view list, std::string_view word) { return std::ranges::count(words_of(list), word) > 0; }

template <class Table>
auto find(const Table& table, std::string_view name) {
  return std::ranges::find_if(table, [&](const auto& entry) { return entry.name == name; });
}

// `conv CHANNELS [kernel=N] [stride=N] [padding=N] [bias=false] [relu|tanh|sigmoid|gelu] [from=LAYER]`.
std::string form_of(const Kind& kind) {
  std::string form(kind.name);
  if (kind.behind != Behind::kNothing) form += fmt::format(" {}", kind.placeholder);
  for (const std::string& option : words_of(kind.options)) {
    const bool number = find(kNumbers, option) != kNumbers.end(), flag = find(kFlags, option) != kFlags.end();
    form += fmt::format(" [{}{}]", option, number ? "=N" : !flag ? "=LAYER" : option == "bias" ? "=false" : "");
  }
  if (!kind.activations.empty()) form += fmt::format(" [{}]", fmt::join(words_of(kind.activations), "|"));
  return form + " [from=LAYER]";
}

bool is_name(std::string_view text) {
  const auto fits = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '.';
  };
  return !text.empty() && std::ranges::all_of(text, fits) && text.front() != '.' && text.back() != '.' &&
         text.find("..") == std::string_view::npos;
}

class Reader {
 public:
  explicit Reader(const std::string& text) : text_(text), words_(words_of(text)) {}

  Result<LayerText> run() {
    RUBATO_TRY(read_name());
    RUBATO_TRY(read_kind());
    RUBATO_TRY(read_behind());
    for (; at_ < words_.size(); ++at_) RUBATO_TRY(read_option(words_[at_]));
    return layer_;
  }

 private:
  template <class... Arguments>
  Error wrong(fmt::format_string<Arguments...> format, Arguments&&... arguments) const {
    return {Cause::kUsage,
            fmt::format("\"{}\": {}", text_, fmt::format(format, std::forward<Arguments>(arguments)...))};
  }

  Status read_name() {
    if (words_.empty() || !words_.front().ends_with(':')) return {};
    layer_.name = words_.front().substr(0, words_.front().size() - 1);
    ++at_;
    if (!is_name(layer_.name) || layer_.name == kInputName)
      return wrong("\"{}\" is no name for a layer: letters, digits, _ and . inside, and not \"{}\"", layer_.name,
                   kInputName);
    return {};
  }

  Status read_kind() {
    Words known;
    for (const Kind& kind : kKinds) known.emplace_back(kind.name);
    if (at_ == words_.size()) return wrong("a layer begins with its kind: {}", fmt::join(known, ", "));
    layer_.kind = words_[at_++];
    const auto found = find(kKinds, layer_.kind);
    if (found != kKinds.end()) {
      kind_ = &*found;
      return {};
    }
    if (layer_.kind == "flatten") return wrong("dense layers flatten what they read: leave it out");
    const std::string kind = lower_case(layer_.kind);
    std::optional<std::string> guess = nearest(kind, known);
    if (const auto other = find(kOtherKinds, kind); other != kOtherKinds.end()) guess = std::string(other->kind);
    return wrong("unknown kind \"{}\"{}{}", layer_.kind, did_you_mean(guess),
                 guess ? fmt::format(" Its form is {}", form_of(*find(kKinds, *guess)))
                       : fmt::format("; the kinds are {}", fmt::join(known, ", ")));
  }

  Status read_behind() {
    if (kind_->behind == Behind::kNothing) return {};
    const std::string word = at_ < words_.size() ? words_[at_] : "";
    const Error missing = wrong("behind {} stands {}, found {}; its form is {}", kind_->name, kind_->what,
                                word.empty() ? "nothing" : fmt::format("\"{}\"", word), form_of(*kind_));
    ++at_;
    if (kind_->behind == Behind::kName) {
      if (!is_name(word)) return missing;
      layer_.add = word;
      return {};
    }
    if (kind_->behind == Behind::kShare) {
      const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), layer_.share);
      const bool whole = error == std::errc() && end == word.data() + word.size();
      return whole && layer_.share > 0.0 && layer_.share < 1.0 ? Status() : Status(missing);
    }
    const auto number = whole_number(word);
    if (!number) return missing;
    if (*number < 1 || *number > kNumberMax)
      return wrong("{} must be 1 to {}, found {}", kind_->what, kNumberMax, *number);
    layer_.number = *number;
    return {};
  }

  Status read_option(const std::string& word) {
    const std::size_t equals = word.find('=');
    const std::string name = word.substr(0, equals);
    const std::optional<std::string> value =
        equals == std::string::npos ? std::nullopt : std::optional(word.substr(equals + 1));
    if (std::ranges::count(given_, name) > 0) return wrong("\"{}\" is there twice", name);
    given_.push_back(name);
    if (!value && has(kind_->activations, name)) {
      if (!layer_.activation.empty()) return wrong("two activations, {} and {}", layer_.activation, name);
      layer_.activation = name;
      return {};
    }
    if (name != "from" && !has(kind_->options, name)) return unknown(name);
    if (const auto flag = find(kFlags, name); flag != kFlags.end()) {
      if (value && *value != "true" && *value != "false")
        return wrong("{} is true or false, found \"{}\"", name, *value);
      layer_.*(flag->value) = !value || *value == "true";
      return {};
    }
    if (!value) return wrong("{} has no value: write {}=...", name, name);
    if (const auto number = find(kNumbers, name); number != kNumbers.end()) {
      const auto read = whole_number(*value);
      if (!read || *read < number->least || *read > kNumberMax)
        return wrong("{} must be {} to {}, found \"{}\"", name, number->least, kNumberMax, *value);
      layer_.*(number->value) = *read;
      return {};
    }
    if (!is_name(*value)) return wrong("{} names a layer, found \"{}\"", name, *value);
    (name == "from" ? layer_.from : layer_.add) = *value;
    return {};
  }

  [[nodiscard]] Error unknown(const std::string& name) const {
    Words known = words_of(fmt::format("{} {} from", kind_->options, kind_->activations));
    return wrong("{} has no \"{}\"{}; it may have {}", kind_->name, name, did_you_mean(nearest(name, known)),
                 fmt::join(known, ", "));
  }

  const std::string& text_;
  const Words words_;
  std::size_t at_ = 0;
  const Kind* kind_ = nullptr;
  Words given_;
  LayerText layer_;
};

}  // namespace

Result<LayerText> parse_layer(const std::string& text) { return Reader(text).run(); }

Result<std::vector<LayerText>> parse_network(const std::vector<std::string>& texts, std::size_t* wrong) {
  std::vector<LayerText> layers;
  std::map<std::string, int> kinds;
  Words names{std::string(kInputName)};  // of what a layer may read
  for (const std::string& text : texts) {
    if (wrong != nullptr) *wrong = layers.size();
    RUBATO_ASSIGN(LayerText layer, parse_layer(text));
    const int count = ++kinds[layer.kind];
    if (layer.name.empty()) layer.name = fmt::format("{}{}", layer.kind, count);
    if (std::ranges::count(names, layer.name) > 0)
      return Error{Cause::kUsage, fmt::format("\"{}\": there is a layer {} already: give it another name, as in "
                                              "\"{}_too: {} ...\"",
                                              text, layer.name, layer.name, layer.kind)};
    for (const std::string& read : {layer.from, layer.add}) {
      if (read.empty() || std::ranges::count(names, read) > 0) continue;
      return Error{Cause::kUsage, fmt::format("\"{}\": no layer {} stands before it{}", text, read,
                                              did_you_mean(nearest(read, names)))};
    }
    names.push_back(layer.name);
    layers.push_back(std::move(layer));
  }
  return layers;
}

}  // namespace rubato
