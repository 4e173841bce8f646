#include "base/key_guess.h"

#include <algorithm>
#include <limits>

#include "base/nearest.h"

namespace rubato {
namespace {

using Text = std::string_view;
using Guess = std::optional<std::string>;

constexpr std::size_t kEnough = 3;  // letters: fewer are a part of anything

Text leaf_of(Text path) { return path.substr(path.rfind('.') + 1); }
Text table_of(Text path) { return path.substr(0, path.rfind('.') == Text::npos ? 0 : path.rfind('.')); }

bool is_near(Text name, Text known) { return edit_distance(name, known) <= std::max<std::size_t>(1, name.size() / 3); }

// Of those that fit, the one whose full name is nearest, however far that is.
template <class Fits>
Guess nearest_where(Text path, std::span<const std::string> keys, Fits fits) {
  Guess best;
  std::size_t best_distance = std::numeric_limits<std::size_t>::max();
  for (const std::string& key : keys) {
    if (!fits(key)) continue;
    const std::size_t distance = edit_distance(path, key);
    if (distance >= best_distance) continue;
    best = key;
    best_distance = distance;
  }
  return best;
}

// `lr`; and of `batch.size`, `batch_size`.
Guess other_name(Text path) {
  const Text table = table_of(path), leaf = leaf_of(path);
  const std::pair<Text, std::string> called[] = {
      {table, std::string(leaf)}, {table_of(table), std::string(leaf_of(table)) + "_" + std::string(leaf)}};
  for (const auto& [in, name] : called) {
    const auto known = std::ranges::find(other_names(), name, &OtherName::name);
    if (known == other_names().end()) continue;
    const auto there = std::ranges::find_if(known->keys, [&](Text key) { return table_of(key) == in; });
    return std::string(there == known->keys.end() ? known->keys.front() : *there);
  }
  return std::nullopt;
}

// `train.batch.size`: a value has nothing inside.
Guess key_outside(Text path, std::span<const std::string> keys) {
  for (Text outer = table_of(path); !outer.empty(); outer = table_of(outer))
    if (std::ranges::find(keys, outer) != keys.end()) return std::string(outer);
  return std::nullopt;
}

// `warmup` of `warmup_epochs`, `dropout_rate` of `dropout`.
bool is_part(Text leaf, Text name) {
  if (std::min(leaf.size(), name.size()) < kEnough) return false;
  return name.starts_with(leaf) || (leaf.starts_with(name) && leaf[name.size()] == '_');
}

}  // namespace

std::span<const OtherName> other_names() {
  static const std::vector<OtherName> kNames{
      {"lr", {"optimizer.rate", "optimizer.outer.rate"}},
      {"learning_rate", {"optimizer.rate", "optimizer.outer.rate"}},
      {"base_lr", {"optimizer.rate"}},
      {"eta", {"optimizer.rate"}},
      {"wd", {"optimizer.weight_decay"}},
      {"l2", {"optimizer.weight_decay"}},
      {"decay", {"optimizer.weight_decay"}},
      {"eps", {"optimizer.epsilon"}},
      {"betas", {"optimizer.beta1"}},
      {"clip", {"optimizer.clip_norm"}},
      {"max_norm", {"optimizer.clip_norm"}},
      {"max_grad_norm", {"optimizer.clip_norm"}},
      {"grad_clip", {"optimizer.clip_norm"}},
      {"scheduler", {"optimizer.schedule.name"}},
      {"lr_scheduler", {"optimizer.schedule.name"}},
      {"lr_schedule", {"optimizer.schedule.name"}},
      {"type", {"optimizer.name", "model.name", "data.kind", "optimizer.schedule.name"}},
      {"kind", {"data.kind", "model.name", "optimizer.name", "optimizer.schedule.name"}},
      {"bs", {"train.batch", "evaluation.batch"}},
      {"batch_size", {"train.batch", "evaluation.batch"}},
      {"mini_batch", {"train.batch"}},
      {"num_epochs", {"train.epochs"}},
      {"n_epochs", {"train.epochs"}},
      {"max_epochs", {"train.epochs"}},
      {"num_steps", {"train.steps"}},
      {"max_steps", {"train.steps"}},
      {"iterations", {"train.steps"}},
      {"random_seed", {"train.seed", "data.split_seed"}},
      {"random_state", {"train.seed", "data.split_seed"}},
      {"num_workers", {"cluster.workers", "data.readers"}},
      {"n_workers", {"cluster.workers"}},
      {"world_size", {"cluster.workers"}},
      {"num_servers", {"cluster.servers"}},
      {"staleness", {"consistency.mode"}},
      {"bound", {"consistency.mode"}},
      {"gpu", {"worker.device", "server.device"}},
      {"gpus", {"worker.device", "server.device"}},
      {"cuda", {"worker.device", "server.device"}},
      {"num_threads", {"worker.threads"}},
      {"dtype", {"worker.precision"}},
      {"amp", {"worker.precision"}},
      {"hidden_size", {"model.hidden"}},
      {"hidden_sizes", {"model.hidden"}},
      {"hidden_dim", {"model.hidden"}},
      {"hidden_units", {"model.hidden"}},
      {"num_layers", {"model.layers"}},
      {"num_heads", {"model.heads"}},
      {"criterion", {"model.loss"}},
      {"weights", {"model.pretrained"}},
      {"checkpoint", {"model.pretrained"}},
      {"num_classes", {"data.classes"}},
      {"label", {"data.target"}},
      {"val_split", {"data.validation_fraction", "evaluation.holdout"}},
      {"validation_split", {"data.validation_fraction", "evaluation.holdout"}},
      {"test_split", {"data.test_fraction"}},
      {"test_size", {"data.test_fraction"}},
      {"early_stopping", {"evaluation.patience"}},
      {"ema", {"evaluation.average"}}};
  return kNames;
}

Guess guess_key(Text path, std::span<const std::string> keys) {
  const Text leaf = leaf_of(path), table = table_of(path);
  if (Guess known = other_name(path)) return known;
  if (Guess outer = key_outside(path, keys)) return outer;
  // Guesses among last parts too: `rate` in the wrong table is no typing mistake. A long table that is right does not
  // make its keys near.
  if (Guess same = nearest_where(path, keys, [&](Text key) { return leaf_of(key) == leaf; })) return same;
  const auto is_mistyped = [&](Text key) {
    return table.empty() ? is_near(path, key) : is_near(leaf, leaf_of(key)) && is_near(table, table_of(key));
  };
  if (Guess mistyped = nearest_where(path, keys, is_mistyped)) return mistyped;
  if (Guess part = nearest_where(path, keys, [&](Text key) { return is_part(leaf, leaf_of(key)); })) return part;
  std::vector<std::string> leaves;
  for (const std::string& key : keys) leaves.emplace_back(leaf_of(key));
  const Guess name = nearest(leaf, leaves);
  if (!name) return std::nullopt;
  return nearest_where(path, keys, [&](Text key) { return leaf_of(key) == *name; });
}

Guess guess_table(Text path, std::span<const std::string> tables) {
  if (Guess mistyped = nearest(path, tables)) return mistyped;
  const Text leaf = leaf_of(path);
  if (Guess same = nearest_where(path, tables, [&](Text table) { return leaf_of(table) == leaf; })) return same;
  return nearest_where(path, tables, [&](Text table) {  // `optim`, `training`
    return std::min(path.size(), table.size()) >= kEnough && (table.starts_with(path) || path.starts_with(table));
  });
}

}  // namespace rubato
