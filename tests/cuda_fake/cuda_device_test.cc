// What is about the CUDA device alone: how it is opened, which operations it has, what becomes of a call that fails.
#include "kernels/cuda/cuda_device.h"

#include <gmock/gmock.h>

#include "kernels/device_remark.h"
#include "tests/cuda_fake/fake.h"
#include "tests/cuda_fake/networks.h"
#include "tests/kernels/planned_op.h"

namespace rubato::kernels {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

TEST(CudaDevice, OpensByItsNumber) {
  for (const char* name : {"cuda", "cuda:0"}) {
    const auto device = open_device({name});
    ASSERT_TRUE(device.ok()) << device.error().message;
    EXPECT_EQ(device.value()->description(), "cuda:0, fake, CUDA 13.0");
  }
  EXPECT_THAT(open_device({"cuda:1"}).error().message, HasSubstr("there is no GPU 1: 1 can be used"));
  EXPECT_THAT(open_device({"cuda:99999999999"}).error().message, HasSubstr("no machine has so many GPUs"));
  EXPECT_EQ(open_device({"cuda", 1, Precision::kTf32}).value()->description(), "cuda:0, fake, CUDA 13.0, TF32");
  EXPECT_THAT(open_device({"cpu", 1, Precision::kTf32}).error().message, HasSubstr("is what a GPU multiplies"));
  EXPECT_EQ(open_device({"cuda", 1, Precision::kBfloat16}).value()->description(), "cuda:0, fake, CUDA 13.0, bfloat16");
  EXPECT_EQ(open_device({"auto"}).value()->description(), "cuda:0, fake, CUDA 13.0");
  EXPECT_EQ(device_remark({"auto"}).value(), "worker.device = \"auto\" takes cuda:0, fake, CUDA 13.0");
  EXPECT_THAT(device_remark({"auto", 1, Precision::kBfloat16}).value(), HasSubstr("takes cuda:0"));
  cuda_fake::set_device_count(0);
  EXPECT_THAT(open_device({"auto"}).value()->description(), testing::StartsWith("cpu"));
  EXPECT_THAT(device_remark({"auto"}).value(), HasSubstr("takes the CPU: no GPU can be used: cudaGetDeviceCount"));
  const auto none = open_device({"cuda"});
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().cause, Cause::kDevice);
  EXPECT_THAT(none.error().message, HasSubstr("cudaErrorNoDevice"));
  EXPECT_THAT(none.error().message, HasSubstr("worker.device = \"auto\" or \"cpu\""));
}

// Asked for by name it opens, and computes what needs none; what any job may get has to do for any network.
TEST(CudaDevice, WithoutCudnnAutoTakesTheCpu) {
  cuda_fake::hide_cudnn(true);
  EXPECT_THAT(open_device({"auto"}).value()->description(), testing::StartsWith("cpu"));
  EXPECT_THAT(device_remark({"auto"}).value(),
              HasSubstr("takes the CPU: no GPU can be used: libcudnn.so was not found"));
  const auto device = open_device({"cuda"}).value();
  const TensorShape image{2, 4, 4, 3};
  EXPECT_TRUE(device->plan(DenseDesc{image, 5}, {}).ok());
  EXPECT_THAT(device->plan(ConvolutionDesc{image, 5}, {}).error().message, HasSubstr("libcudnn.so was not found"));
}

TEST(CudaDevice, HasEveryOperation) {
  const TensorShape image{2, 4, 4, 3};
  const std::vector<OpDesc> all = {
      DenseDesc{image, 5},
      ConvolutionDesc{image, 5},
      PoolDesc{image},
      ActivationDesc{image},
      DropoutDesc{image, 0.5},
      GlobalAverageDesc{image},
      AddDesc{image},
      BatchNormDesc{image},
      LayerNormDesc{image},
      GroupNormDesc{image, 3},
      EmbeddingDesc{{2, 4, 1, 1}, 5, 3},
      AttentionDesc{{2, 4, 1, 6}},
      RecurrentDesc{{2, 4, 1, 6}, RecurrentDesc::Cell::kLstm, 3},
  };
  ASSERT_EQ(all.size(), std::variant_size_v<OpDesc>);
  const auto device = open_device({"cuda"}).value();
  for (std::size_t i = 0; i < all.size(); ++i) {
    ASSERT_EQ(all[i].index(), i);
    EXPECT_TRUE(device->plan(all[i], {}).ok()) << i;
  }
}

TEST(CudaDevice, ABiasIsAddedWhereCublasLtHasNoEpilogueForIt) {
  for (const Activation activation : {Activation::kNone, Activation::kRelu, Activation::kGelu}) {
    std::vector<float> outputs[2], gradients[2];
    for (const bool refused : {false, true}) {
      cuda_fake::refuse_epilogues(refused);
      const auto device = open_device({"cuda"}).value();
      PlannedOp run(*device, DenseDesc{{5, 1, 1, 7}, 3, activation}, {});
      EXPECT_EQ(run.op->info().algorithms.front().call, refused ? "bias" : "forward");
      run.forward();
      run.backward();
      outputs[refused] = run.output.values();
      gradients[refused] = run.gradients[0];
    }
    // Of sums of 8 terms of at most 1, in float32 or rounded once.
    for (std::size_t i = 0; i < outputs[0].size(); ++i) EXPECT_NEAR(outputs[0][i], outputs[1][i], 64 * 0x1p-24);
    for (std::size_t i = 0; i < gradients[0].size(); ++i) EXPECT_NEAR(gradients[0][i], gradients[1][i], 64 * 0x1p-24);
  }
}

std::vector<std::string> engines_of(const Op& op) {
  std::vector<std::string> engines;
  for (const Algorithm& algorithm : op.info().algorithms) engines.push_back(algorithm.implementation);
  return engines;
}

// Of those that come first one gives other bits each time, one multiplies fewer of them, one is compiled, one cannot do
// it, one wants too much memory.
TEST(CudaDevice, AConvolutionsEngineIsTheFirstThatWillDo) {
  const OpDesc desc = ConvolutionDesc{{2, 4, 4, 3}, 5};
  const auto device = open_device({"cuda"}).value();
  const auto op = device->plan(desc, {}).value();
  EXPECT_THAT(engines_of(*op), ElementsAre("cudnn engine 5", "cudnn engine 5", "cudnn engine 5"));
  EXPECT_EQ(op->info().scratch_bytes, 1000u);
  EXPECT_THAT(engines_of(*device->plan(desc, {.input_gradient = false}).value()), SizeIs(2));
  EXPECT_THAT(engines_of(*device->plan(desc, {.training = false}).value()), SizeIs(1));
  cuda_fake::offer_engines({{.atomic = true}, {.fallback = true}, {.tensor_cores = true}});
  EXPECT_THAT(engines_of(*device->plan(desc, {}).value()), Each("cudnn engine 1"));
  cuda_fake::offer_engines({{.atomic = true}, {.scratch_bytes = std::size_t{1} << 40, .fallback = true}});
  const auto none = device->plan(desc, {});
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().cause, Cause::kDevice);
  EXPECT_EQ(none.error().message,
            "convolution forward of 2 x 4 x 4 x 3, 5 of 3 x 3, stride 1, padding 0: cuDNN has no deterministic engine "
            "for float32 within 268435456 bytes of scratch");
}

// Factors of 12 bits: what rounds them loses the last one.
TEST(CudaDevice, RoundedFactorsAreMultipliedWhereTheyAreAskedFor) {
  for (const OpDesc& desc : {OpDesc(DenseDesc{{1, 1, 1, 1}, 1}), OpDesc(ConvolutionDesc{{1, 1, 1, 1}, 1, 1})}) {
    for (const auto& [precision, wanted] :
         {std::pair{Precision::kFloat32, 1.0f + 0x1p-11f}, {Precision::kTf32, 1.0f}, {Precision::kBfloat16, 1.0f}}) {
      const auto device = open_device({"cuda", 1, precision}).value();
      PlannedOp run(*device, desc, {}, {1.0f + 0x1p-11f}, 0.0f);
      run.parameters = {{1.0f}, {0.0f}};
      run.forward();
      EXPECT_EQ(run.output.values(), std::vector{wanted}) << desc.index();
    }
  }
}

// Equal versions mean equal values: what the device has is not copied again.
TEST(CudaDevice, WeightsAreCopiedWhereTheyAreNew) {
  const auto device = open_device({"cuda"}).value();
  PlannedOp run(*device, DenseDesc{{5, 1, 1, 7}, 3}, {});
  run.forward(1);
  cuda_fake::fail_call(0);
  run.forward(1);
  EXPECT_EQ(cuda_fake::calls(), 3u);  // a step's beginning, of two calls, and the product
  run.forward(2);
  EXPECT_EQ(cuda_fake::calls(), 10u);  // with two copies that are waited for
}

// The same one again.
class SameBatch final : public model::NextBatch {
 public:
  explicit SameBatch(const model::Batch& batch) : batch_(batch) {}
  const model::Batch* peek() override { return &batch_; }

 private:
  const model::Batch batch_;
};

Status train(const model::SmallModel& small, Precision precision) {
  RUBATO_ASSIGN(const auto device, open_device({"cuda", 1, precision}));
  RUBATO_ASSIGN(const auto model, model::make_model(small.config, small.shape, model::kClasses, *device, 8, 5));
  model::PinnedStore store(*model, *device);
  RUBATO_TRY(store.pin());
  const model::OwnedBatch batch = model::batch_for(small, 3);
  SameBatch next(batch.view());
  model::Batch view = batch.view();
  view.next = &next;
  for (Version version = 1; version <= 3; ++version) {  // call by call, recorded, replayed
    store->version_number = version;
    RUBATO_TRY(model->train_leaf(view, *store, *store));
  }
  RUBATO_TRY(model->evaluate(batch.view(), *store));
  return {};
}

class CudaFailure : public testing::TestWithParam<model::SmallModel> {};
INSTANTIATE_TEST_SUITE_P(Networks, CudaFailure, testing::ValuesIn(model::networks_on_cuda()), model::network_test_name);

void check_failures(const model::SmallModel& small, Precision precision) {
  const Status right = train(small, precision);
  ASSERT_TRUE(right.ok()) << right.error().message;
  std::size_t n = 1;
  for (;; ++n) {
    cuda_fake::fail_call(n);
    const Status status = train(small, precision);
    const std::string failed = cuda_fake::failed_call();
    if (failed.empty()) break;
    SCOPED_TRACE(testing::Message() << "call " << n << ", " << failed);
    if (status.ok()) {  // what cannot be recorded is launched call by call
      EXPECT_TRUE(cuda_fake::failed_in_capture());
    } else {
      EXPECT_EQ(status.error().cause, Cause::kDevice);
      EXPECT_THAT(status.error().message, HasSubstr(failed));
    }
    EXPECT_EQ(cuda_fake::live().all(), 0u);
  }
  cuda_fake::fail_call(0);
  EXPECT_GT(n, 100u);
}

TEST_P(CudaFailure, OfAnyCallIsAnErrorAndLeavesNothing) { check_failures(GetParam(), Precision::kFloat32); }

// Of whatever rounds, and as little of it as there can be.
TEST(CudaDevice, FailureOfAnyCallIsAnErrorWithBfloat16Too) {
  model::SmallModel image{"image", {}, {3, 3, 2}}, sequence{"sequence", {}, {2, 1, 2}};
  image.config.network = {"conv 2 relu", "dense 4"};
  sequence.config.network = {"dense 3 per_position", "attention", "dense 4"};
  for (model::SmallModel* const small : {&image, &sequence}) {
    SCOPED_TRACE(small->title);
    small->config.name = "layers";
    check_failures(*small, Precision::kBfloat16);
  }
}

}  // namespace
}  // namespace rubato::kernels
