#include "model/layouts.h"

#include <numeric>

namespace rubato::model {
namespace {

// Groups of tensors: each points towards one of its group, which points to itself.
class Groups {
 public:
  explicit Groups(std::size_t tensors) : next_(tensors) { std::iota(next_.begin(), next_.end(), TensorId{0}); }
  [[nodiscard]] TensorId find(TensorId tensor) const {
    while (next_[tensor] != tensor) tensor = next_[tensor];
    return tensor;
  }
  void join(TensorId a, TensorId b) { next_[find(a)] = find(b); }

 private:
  std::vector<TensorId> next_;
};

}  // namespace

std::vector<kernels::Layout> choose_layouts(const kernels::Device& device, std::span<const Layer> layers) {
  Groups groups(layers.size() + 1);
  std::vector<bool> can(layers.size() + 1, true);
  can.front() = can.back() = false;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const Layer& layer = layers[i];
    const kernels::OwnLayouts own = device.own_layouts(layer.op);
    if (!own.input) can[layer.input] = false;
    if (!own.output) can[i + 1] = false;
    if (own.alike) groups.join(layer.input, i + 1);
    if (!kernels::has_addend(layer.op)) continue;
    if (!own.output) can[layer.addend] = false;
    groups.join(layer.addend, i + 1);
  }
  std::vector<bool> group_can(can.size(), true);
  for (TensorId tensor = 0; tensor < can.size(); ++tensor)
    if (!can[tensor]) group_can[groups.find(tensor)] = false;
  std::vector<kernels::Layout> layouts;
  for (TensorId tensor = 0; tensor < can.size(); ++tensor)
    layouts.push_back(group_can[groups.find(tensor)] ? kernels::Layout::kOwn : kernels::Layout::kRows);
  return layouts;
}

}  // namespace rubato::model
