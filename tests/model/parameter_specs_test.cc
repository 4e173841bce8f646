// The parameters of layers: PyTorch's names, shapes and first values.
#include "model/parameter_specs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/layers.h"

namespace rubato::model {
namespace {

using kernels::RecurrentDesc;
using testing::ElementsAre;

std::vector<std::string> names(const std::vector<ParameterSpec>& specs) {
  std::vector<std::string> all;
  for (const ParameterSpec& spec : specs) all.push_back(spec.name);
  return all;
}

TEST(ParameterSpecs, NormsStartAsTheIdentity) {
  for (const kernels::OpDesc& op : {kernels::OpDesc(kernels::LayerNormDesc{{1, 5, 1, 8}}),
                                    kernels::OpDesc(kernels::GroupNormDesc{{1, 4, 4, 8}, 2})}) {
    const auto specs = parameter_specs({"norm", op});
    EXPECT_THAT(names(specs), ElementsAre("norm.weight", "norm.bias"));
    EXPECT_EQ(specs[0].initializer.kind, InitializerKind::kOnes);
    EXPECT_EQ(specs[1].initializer.kind, InitializerKind::kZeros);
    EXPECT_THAT(specs[0].shape, ElementsAre(8));
  }
}

TEST(ParameterSpecs, AnEmbeddingStartsNormal) {
  const auto specs = parameter_specs({"tokens", kernels::EmbeddingDesc{{1, 5, 1, 1}, 11, 8, true}});
  EXPECT_THAT(names(specs), ElementsAre("tokens.weight", "tokens.position_weight"));
  EXPECT_THAT(specs[0].shape, ElementsAre(11, 8));
  EXPECT_THAT(specs[1].shape, ElementsAre(5, 8));
  EXPECT_EQ(specs[0].initializer, (Initializer{InitializerKind::kNormal, 1.0f}));
}

TEST(ParameterSpecs, RecurrentLayersHaveThePlacesThatPyTorchNames) {
  const RecurrentDesc lstm{{1, 5, 1, 3}, RecurrentDesc::Cell::kLstm, 16},
      gru{{1, 5, 1, 3}, RecurrentDesc::Cell::kGru, 16};
  const auto specs = parameter_specs({"lstm", lstm});
  EXPECT_THAT(names(specs),
              ElementsAre("lstm.weight_ih_l0", "lstm.weight_hh_l0", "lstm.bias_ih_l0", "lstm.bias_hh_l0"));
  EXPECT_THAT(specs[0].shape, ElementsAre(64, 3));
  EXPECT_THAT(specs[1].shape, ElementsAre(64, 16));
  EXPECT_THAT(specs[3].shape, ElementsAre(64));
  for (const ParameterSpec& spec : specs) {
    EXPECT_EQ(spec.initializer, (Initializer{InitializerKind::kUniform, 0.25f})) << spec.name;
  }
  EXPECT_EQ(parameter_specs({"net.rnn.l1", gru})[1].name, "net.rnn.weight_hh_l1");
  EXPECT_THAT(parameter_specs({"gru", gru})[0].shape, ElementsAre(48, 3));
  RecurrentDesc both = gru;
  both.bidirectional = true;
  const auto twice = parameter_specs({"rnn.l1", both});
  EXPECT_THAT(names(twice), ElementsAre("rnn.weight_ih_l1", "rnn.weight_hh_l1", "rnn.bias_ih_l1", "rnn.bias_hh_l1",
                                        "rnn.weight_ih_l1_reverse", "rnn.weight_hh_l1_reverse",
                                        "rnn.bias_ih_l1_reverse", "rnn.bias_hh_l1_reverse"));
  EXPECT_EQ(twice[7].initializer, (Initializer{InitializerKind::kUniform, 0.25f}));
}

TEST(ParameterSpecs, ALayerMaySayHowItsWeightsStart) {
  const Initializer small{InitializerKind::kNormal, 0.02f};
  const auto specs = parameter_specs({"tokens", kernels::EmbeddingDesc{{1, 5, 1, 1}, 11, 8, true}, 0, 0, small});
  EXPECT_EQ(specs[0].initializer, small);
  EXPECT_EQ(specs[1].initializer, small);  // of positions
}

TEST(ParameterSpecs, ThereAreNoneWhereAnOperationHasNone) {
  EXPECT_TRUE(parameter_specs({"attention", kernels::AttentionDesc{{1, 5, 1, 12}, 2}}).empty());
}

}  // namespace
}  // namespace rubato::model
