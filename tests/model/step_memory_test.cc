// Plans for batches of all sizes lie in one memory, which is as large as the largest of them wants it.
#include "model/step_memory.h"

#include <gtest/gtest.h>

#include "tests/model/forwarding_device.h"
#include "tests/model/model_fixture.h"

namespace rubato::model {
namespace {

// Counts what it was asked for and has not been given back.
class Counting final : public ForwardingDevice {
 public:
  using ForwardingDevice::ForwardingDevice;
  Result<kernels::Buffer> allocate(std::size_t bytes) override {
    live_bytes += bytes;
    return kernels::Buffer(::operator new(bytes), bytes, [](void* data, std::size_t size) {
      ::operator delete(data);
      live_bytes -= size;
    });
  }
  static inline std::size_t live_bytes = 0;
};

TEST(StepMemory, IsSharedUntilItHasToGrow) {
  const auto device = kernels::open_device({}).value();
  StepMemory memory(*device);
  EXPECT_EQ(memory.bytes(), 0u);
  const auto first = memory.room_for(1000).value();
  EXPECT_GE(memory.bytes(), 1000u);
  EXPECT_EQ(memory.room_for(10).value(), first);
  first->data()[999] = std::byte{7};
  const auto larger = memory.room_for(memory.bytes() + 1).value();
  EXPECT_NE(larger, first);
  EXPECT_EQ(first->data()[999], std::byte{7}) << "whoever has it keeps it";
  EXPECT_EQ(memory.room_for(1000).value(), larger);
}

TEST(StepMemory, OfANetworkIsThatOfItsLargestBatch) {
  const auto device = kernels::open_device({}).value();
  Counting counting(*device);
  ModelConfig config;
  config.hidden = {64};
  const auto model = make_model(config, {1, 1, 3}, kClasses, counting, 64, 1).value();
  const std::size_t ten = model->memory_for(10, true).value().activations;
  EXPECT_EQ(Counting::live_bytes, ten);
  EXPECT_LT(model->memory_for(3, true).value().activations, ten);
  EXPECT_LT(model->memory_for(4, false).value().activations, ten);
  EXPECT_EQ(Counting::live_bytes, ten);
  // It grows, and what was there before is given back.
  const std::size_t all = model->memory_for(64, true).value().activations;
  EXPECT_EQ(Counting::live_bytes, all);
  EXPECT_TRUE(model->memory_for(10, true).ok());
  EXPECT_EQ(Counting::live_bytes, all);
}

}  // namespace
}  // namespace rubato::model
