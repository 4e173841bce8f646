// Residual networks (He et al., "Deep residual learning for image recognition", CVPR 2016), with the names, shapes and
// initial weights of torchvision's:
//
//   stem       cifar: conv1 (3x3), bn1, ReLU; imagenet: conv1 (7x7, stride 2), bn1, ReLU, 3x3 max pool with stride 2
//   layer1-4   blocks of two 3x3 convolutions (resnet18: 2 2 2 2, resnet34: 3 4 6 3), or of a 1x1, a 3x3 and a 1x1
//              that has four times the channels (resnet50: 3 4 6 3; the stride is the 3x3 one's, as in torchvision);
//              channels double and extents halve from layer to layer; where a block changes its shape, what it adds to
//              its result goes through a 1x1 convolution (`downsample`)
//   then the mean over all pixels, and `fc`
//
// Convolutions have no bias, for batch normalization takes it away, and start normal with variance 2 / fan_out (He et
// al., ICCV 2015).
#pragma once

#include <string>

#include "base/job.h"
#include "base/result.h"
#include "model/layers.h"

namespace rubato::model {

[[nodiscard]] bool is_resnet(const std::string& name);

// All but `fc`. Errors: kUsage.
[[nodiscard]] Status add_resnet(NetworkBuilder& net, const ModelConfig& config);

}  // namespace rubato::model
