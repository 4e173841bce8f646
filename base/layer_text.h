// A network as a person writes it in a job file, a line for each layer (model.network):
//
//   [NAME:] KIND [NUMBER] [ACTIVATION] [OPTION=VALUE]...
//
//   dense UNITS           of all that it reads, flattened;      per_position, and an activation
//                         per_position: of the features at each position
//   conv CHANNELS         kernel=3 stride=1 padding=0           bias=false, and an activation
//   max_pool WINDOW       stride=WINDOW padding=0               and an activation
//   average_pool WINDOW   the same
//   global_average
//   batch_norm            add=NAME                              and relu
//   layer_norm
//   group_norm GROUPS
//   relu, tanh, sigmoid, gelu
//   add NAME              the sum with what NAME gave           and relu
//   dropout SHARE
//   embedding FEATURES    rows=256                              positions
//   lstm UNITS, gru UNITS layers=1                              last: of the positions only the last one's
//                                                               bidirectional: from both ends, so many units from each
//   attention             heads=1: of queries, keys and values in a third of the features each
//
// Activations are relu, tanh, sigmoid and gelu. A layer reads what the one before it gave, the first one the sample;
// from=NAME reads what NAME gave instead, and NAME is `input` for the sample. A layer without a name is called by its
// kind and how many there have been of it: conv1, conv2, dense1.
//
// What is true of the words alone is checked here; shapes where the network is built (model/layer_list.h).
//
// Thread-safety: plain values; pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace rubato {

// What a layer can be told to read, beside the layers: the network's input.
inline constexpr std::string_view kInputName = "input";

struct LayerText {
  std::string name = {};  // empty: none was given
  std::string kind = {};
  std::int64_t number = 0;                           // units, channels, window, groups, features
  double share = 0.0;                                // dropout
  std::string activation = {};                       // empty: none
  std::string from = {}, add = {};                   // empty: the layer before; nothing
  std::int64_t kernel = 3, stride = 0, padding = 0;  // a stride of 0: 1, and of a pool its window
  std::int64_t rows = 256, layers = 1, heads = 1;
  bool bias = true, per_position = false, last = false, bidirectional = false, positions = false;
  friend bool operator==(const LayerText&, const LayerText&) = default;
};

// Errors: kUsage, with the text, and what is allowed.
[[nodiscard]] Result<LayerText> parse_layer(const std::string& text);

// All layers, each with a name of its own, and reading what is there. Errors: kUsage; `*wrong` is then the layer's
// place in the list, where somebody asks for it.
[[nodiscard]] Result<std::vector<LayerText>> parse_network(const std::vector<std::string>& texts,
                                                           std::size_t* wrong = nullptr);

}  // namespace rubato
