#include "bench/layer_profile.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include "model/layouts.h"

namespace rubato::bench {
namespace {

// What a model calls the passes of a layer, in the order of the columns. "undo" is that of the activation, with the sum
// of the gradients of a tensor that several layers read.
constexpr std::array<std::string_view, 4> kPasses = {"forward", "undo", "gradient", "backward"};

struct Row {
  std::array<TimeNs, kPasses.size()> passes{};
  [[nodiscard]] TimeNs sum() const { return passes[0] + passes[1] + passes[2] + passes[3]; }
};

// Of forward, and as many of each half of backward; 0 for what is no sum of products.
double products_of(const kernels::OpDesc& desc) {
  const kernels::TensorShape in = kernels::input_shape(desc), out = kernels::output_shape(desc);
  const auto places = static_cast<double>(in.samples * in.height * in.width);
  if (const auto* dense = std::get_if<kernels::DenseDesc>(&desc)) {
    const double each = static_cast<double>(dense->units);
    return dense->per_position ? places * each * static_cast<double>(in.channels)
                               : each * static_cast<double>(in.elements());
  }
  if (const auto* conv = std::get_if<kernels::ConvolutionDesc>(&desc))
    return static_cast<double>(out.elements() * conv->kernel * conv->kernel * in.channels);
  if (const auto* cell = std::get_if<kernels::RecurrentDesc>(&desc))
    return places * static_cast<double>(cell->directions() * cell->gates() * cell->units * (in.channels + cell->units));
  // Of a position with itself and those before it: half of all pairs; queries with keys, and weights with values.
  if (std::holds_alternative<kernels::AttentionDesc>(desc))
    return places * static_cast<double>((in.height * in.width + 1) * out.channels);
  return 0.0;
}

// "forward and backward_data jit:avx2; backward_weights jit_wino_4x3:avx512".
std::string implementations_of(const kernels::OpInfo& info) {
  std::vector<std::string> groups, names;
  for (const kernels::Algorithm& algorithm : info.algorithms) {
    const auto known = std::ranges::find(names, algorithm.implementation);
    if (known == names.end()) {
      names.push_back(algorithm.implementation);
      groups.push_back(algorithm.call);
    } else {
      groups[static_cast<std::size_t>(known - names.begin())] += ", " + algorithm.call;
    }
  }
  if (names.size() == 1) return names.front();
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < names.size(); ++i) texts.push_back(groups[i] + " " + names[i]);
  return fmt::format("{}", fmt::join(texts, "; "));
}

}  // namespace

Result<std::string> profile_text(const ProfiledSteps& steps, std::span<const model::Layer> layers,
                                 kernels::Device& device) {
  std::vector<Row> rows(layers.size());
  TimeNs inside = 0, loss = 0;
  for (const timeline::Span& span : steps.spans) {
    const TimeNs took = span.end - span.begin;
    if (std::string_view(span.what) == "loss") loss += took;
    const auto pass = std::ranges::find(kPasses, std::string_view(span.what));
    const auto layer = std::ranges::find_if(
        layers, [&](const model::Layer& l) { return timeline::Label(l.name).text() == span.of.text(); });
    if (pass == kPasses.end() || layer == layers.end()) continue;
    rows[static_cast<std::size_t>(layer - layers.begin())].passes[static_cast<std::size_t>(pass - kPasses.begin())] +=
        took;
    inside += took;
  }

  const auto of_step = [&](TimeNs time) { return seconds(time) * 1e3 / static_cast<double>(steps.steps); };
  const auto share = [&](TimeNs time) { return 100.0 * static_cast<double>(time) / static_cast<double>(steps.wall); };
  std::string text = fmt::format("{:<24} {:>9} {:>9} {:>9} {:>9} {:>9} {:>7} {:>8}  {}\n", "layer", "forward", "undo",
                                 "gradient", "backward", "sum, ms", "share", "GFLOP/s", "implementation");
  const std::vector<kernels::Layout> layouts = model::choose_layouts(device, layers);
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const kernels::OpDesc desc = kernels::with_samples(layers[i].op, steps.samples);
    const kernels::PlanHint hint{
        .input_gradient = layers[i].input > 0, .input = layouts[layers[i].input], .output = layouts[i + 1]};
    RUBATO_ASSIGN(const auto op, device.plan(desc, hint));
    const Row& row = rows[i];
    const double passes = layers[i].input > 0 ? 3.0 : 2.0;
    const double rate = 2.0 * products_of(desc) * passes / (of_step(row.sum()) * 1e6);
    text += fmt::format("{:<24} {:>9.3f} {:>9.3f} {:>9.3f} {:>9.3f} {:>9.3f} {:>6.1f}% {:>8}  {}\n", layers[i].name,
                        of_step(row.passes[0]), of_step(row.passes[1]), of_step(row.passes[2]), of_step(row.passes[3]),
                        of_step(row.sum()), share(row.sum()), rate > 0 ? fmt::format("{:.0f}", rate) : "",
                        implementations_of(op->info()));
  }
  text += fmt::format("{:<24} {:>49.3f} {:>6.1f}%\n", "loss", of_step(loss), share(loss));
  text += fmt::format("{:<24} {:>49.3f} {:>6.1f}%\n", "outside of them", of_step(steps.wall - inside - loss),
                      share(steps.wall - inside - loss));
  return text;
}

}  // namespace rubato::bench
