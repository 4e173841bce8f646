// Which tensors lie in the device's own layout, on a device that says what it can; and that a network computes the same
// with it and without.
#include "model/layouts.h"

#include <gmock/gmock.h>

#include <cmath>

#include "model/network.h"
#include "model/parameter_groups.h"
#include "tests/model/forwarding_device.h"
#include "tests/model/model_fixture.h"

namespace rubato::model {
namespace {

using kernels::Activation;
using kernels::Layout;

// All tensors are channels-last.
class RowsOnly final : public ForwardingDevice {
 public:
  using ForwardingDevice::ForwardingDevice;
  Result<std::unique_ptr<kernels::Op>> plan(const kernels::OpDesc& desc, const kernels::PlanHint& hint) override {
    EXPECT_TRUE(hint.input == Layout::kRows && hint.output == Layout::kRows);
    return ForwardingDevice::plan(desc, hint);
  }
};

// Convolutions take any layout at either end, sums one for all, all else channels-last.
class Choosy final : public kernels::Device {
 public:
  explicit Choosy(std::int64_t convolved) : convolved_(convolved) {}
  [[nodiscard]] kernels::OwnLayouts own_layouts(const kernels::OpDesc& desc) const override {
    if (const auto* convolution = std::get_if<kernels::ConvolutionDesc>(&desc))
      return {.input = true, .output = convolution->channels != convolved_};
    if (std::holds_alternative<kernels::AddDesc>(desc)) return {.input = true, .output = true, .alike = true};
    return {};
  }
  [[nodiscard]] std::string description() const override { return "choosy"; }
  void enter() override {}
  Result<kernels::Buffer> allocate(std::size_t) override { return kernels::Buffer{}; }
  Status copy_in(float*, std::span<const float>) override { return {}; }
  Status copy_out(std::span<float>, const float*) override { return {}; }
  Result<std::unique_ptr<kernels::Op>> plan(const kernels::OpDesc&, const kernels::PlanHint&) override {
    return none();
  }
  Result<std::unique_ptr<kernels::Loss>> plan_loss(const kernels::LossDesc&) override { return none(); }
  Status add(float*, const float*, std::size_t) override { return {}; }
  void tree_add(std::span<float>, std::span<const float>) override {}

 private:
  static Error none() { return {Cause::kDevice, "plans nothing"}; }
  std::int64_t convolved_;  // channels of which its convolutions write no layout of its own
};

// Tensors: 0 the input, 1 and 2 convolutions, 3 their sum, 4 a convolution of other channels, 5 scores.
std::vector<Layer> residual_network() {
  NetworkBuilder net({1, 6, 5, 3});
  net.convolution("conv1", {.channels = 16, .kernel = 3, .padding = 1});
  const TensorId first = net.here();
  net.convolution("conv2", {.channels = 16, .kernel = 3, .padding = 1});
  net.add("sum", first, Activation::kRelu);
  net.convolution("conv3", {.channels = 8, .kernel = 1});
  net.dense("fc", kClasses, Activation::kNone);
  return std::move(net).finish().value();
}

TEST(Layouts, AreTheDevicesOwnWhereAllCan) {
  using testing::ElementsAre;
  constexpr Layout rows = Layout::kRows, own = Layout::kOwn;
  EXPECT_THAT(choose_layouts(Choosy(0), residual_network()), ElementsAre(rows, own, own, own, rows, rows));
}

// The sum wants both alike, and one of them cannot.
TEST(Layouts, AreSharedByThoseThatWantThemAlike) {
  EXPECT_THAT(choose_layouts(Choosy(16), residual_network()), testing::Each(Layout::kRows));
}

class LayoutsTest : public ModelTest {};

// To float32's accuracy, over a network of everything that has an own layout on some device, with tiles and channels
// enough for Winograd's algorithm. What tests/model/gradient_test.cc derives for its 9000 products in a row is 0.017 of
// the greatest gradient; 2^-12 is a seventieth of that.
TEST_F(LayoutsTest, DoNotChangeWhatANetworkComputes) {
  NetworkBuilder net({1, 20, 18, 3});
  net.convolution("conv1", {.channels = 64, .kernel = 3, .padding = 1, .activation = Activation::kRelu});
  net.pool("pool1", {.window = 3, .stride = 1, .padding = 1});
  const TensorId before = net.here();
  net.plain_convolution("conv2", {.channels = 64, .kernel = 3, .padding = 1});
  net.batch_norm_and_add("bn", before, Activation::kRelu);
  const TensorId middle = net.here();
  net.convolution("conv3", {.channels = 64, .kernel = 3, .padding = 1});
  net.add("sum", middle, Activation::kRelu);
  net.pool("pool2", {.activation = Activation::kRelu});
  net.dense("fc", kClasses, Activation::kNone);
  std::vector<Layer> layers = std::move(net).finish().value();
  const std::vector<ParameterSpec> parameters = grouped_parameters({}, layers).value();

  RowsOnly rows(*device_);
  Network model(*device_, layers, parameters, {}, kSamplesMax), plain(rows, layers, parameters, {}, kSamplesMax);
  Store store(model), plain_store(plain);
  const OwnedBatch batch(4, {20, 18, 3});
  const auto stats = model.train_leaf(batch.view(), store, store);
  const auto plain_stats = plain.train_leaf(batch.view(), plain_store, plain_store);
  ASSERT_TRUE(stats.ok() && plain_stats.ok());
  constexpr float kTolerance = 0x1p-12f;
  EXPECT_NEAR(stats.value().loss_sum, plain_stats.value().loss_sum,
              static_cast<double>(kTolerance) * plain_stats.value().loss_sum);
  for (std::size_t p = 0; p < store.gradients.size(); ++p) {
    float greatest = 0.0f;
    for (const float g : plain_store.gradients[p]) greatest = std::max(greatest, std::abs(g));
    for (std::size_t i = 0; i < store.gradients[p].size(); ++i)
      ASSERT_NEAR(store.gradients[p][i], plain_store.gradients[p][i], kTolerance * greatest)
          << model.parameters()[p].name << "[" << i << "]";
  }
  const auto evaluated = model.evaluate(batch.view(), store), plainly = plain.evaluate(batch.view(), plain_store);
  ASSERT_TRUE(evaluated.ok() && plainly.ok());
  EXPECT_NEAR(evaluated.value().loss_sum, plainly.value().loss_sum,
              static_cast<double>(kTolerance) * plainly.value().loss_sum);
}

}  // namespace
}  // namespace rubato::model
