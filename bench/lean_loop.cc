// The least that training `cnn` costs with oneDNN: its primitives in a row and SGD with momentum, no
// layer of Rubato between. bench/local_train is held against it.
//
// The network (28 x 28 x 1; 3x3 convolutions of 32 and 64, each with ReLU and a 2x2 max pool; dense 128
// with ReLU; dense 10; cross-entropy) is written twice on purpose: this file uses only base/.
//
//   lean_loop [--batch B] [--threads T] [--steps S] [--windows W]
#include <omp.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <dnnl.hpp>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "bench/stopwatch.h"

namespace {

using dnnl::memory;
using Tag = memory::format_tag;
using Arguments = std::unordered_map<int, memory>;
constexpr auto kF32 = memory::data_type::f32;
constexpr auto kForward = dnnl::prop_kind::forward_training;
constexpr memory::dim kClasses = 10;

struct Parameter {
  memory values, gradient;  // in canonical layout
  std::vector<float> velocity;
};

// A tensor between layers, with its gradient.
struct Tensor {
  memory values, gradient;
};

class LeanLoop {
 public:
  explicit LeanLoop(memory::dim batch);
  void step();

 private:
  using Calls = std::vector<std::pair<dnnl::primitive, Arguments>>;

  memory tensor(const memory::desc& desc) { return {desc, engine_}; }
  Parameter& parameter(const memory::desc& desc);
  memory packed(Calls& calls, const memory& plain, const memory::desc& wanted);
  void unpack(const memory& packed_gradient, const memory& plain);
  Tensor convolution(const Tensor& in, memory::dim channels, bool input_gradient);
  Tensor max_pool(const Tensor& in);
  Tensor dense(const Tensor& in, memory::dim units, bool relu);
  void add_relu_backward(const Tensor& out);
  void prepend_backward(Calls calls) { backward_.insert(backward_.begin(), calls.begin(), calls.end()); }
  void loss();
  void update();

  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream_{engine_};
  rubato::RandomStream random_{rubato::stream_key(1, "lean_loop")};
  std::vector<Parameter> parameters_;
  Calls forward_, backward_, layer_backward_;
  Tensor scores_;
  std::vector<int> labels_;
};

float* floats(const memory& m) { return static_cast<float*>(m.get_data_handle()); }
std::size_t count(const memory& m) { return m.get_desc().get_size() / sizeof(float); }

Parameter& LeanLoop::parameter(const memory::desc& desc) {
  Parameter p{tensor(desc), tensor(desc), {}};
  p.velocity.assign(count(p.values), 0.0f);
  const auto dims = desc.dims();
  const double scale = 1.0 / std::sqrt(static_cast<double>(count(p.values)) / static_cast<double>(dims[0]));
  for (std::size_t i = 0; i < count(p.values); ++i) {
    floats(p.values)[i] = static_cast<float>(scale * (2.0 * random_.next_unit() - 1.0));
  }
  parameters_.push_back(std::move(p));
  return parameters_.back();
}

memory LeanLoop::packed(Calls& calls, const memory& plain, const memory::desc& wanted) {
  if (wanted == plain.get_desc()) return plain;
  memory result = tensor(wanted);
  calls.emplace_back(dnnl::reorder(plain, result), Arguments{{DNNL_ARG_FROM, plain}, {DNNL_ARG_TO, result}});
  return result;
}

void LeanLoop::unpack(const memory& packed_gradient, const memory& plain) {
  if (packed_gradient.get_desc() == plain.get_desc()) return;
  layer_backward_.emplace_back(dnnl::reorder(packed_gradient, plain),
                               Arguments{{DNNL_ARG_FROM, packed_gradient}, {DNNL_ARG_TO, plain}});
}

dnnl::primitive_attr with_relu(bool relu) {
  dnnl::primitive_attr attributes;
  dnnl::post_ops after;
  if (relu) after.append_eltwise(1.0f, dnnl::algorithm::eltwise_relu, 0.0f, 0.0f);
  attributes.set_post_ops(after);
  return attributes;
}

void LeanLoop::add_relu_backward(const Tensor& out) {
  const auto desc = out.values.get_desc();
  constexpr auto algorithm = dnnl::algorithm::eltwise_relu_use_dst_for_bwd;
  const dnnl::eltwise_forward::primitive_desc hint({kForward, algorithm, desc, 0.0f, 0.0f}, engine_);
  const dnnl::eltwise_backward::primitive_desc plan({algorithm, desc, desc, 0.0f, 0.0f}, engine_, hint);
  layer_backward_.emplace_back(
      dnnl::eltwise_backward(plan),
      Arguments{{DNNL_ARG_DST, out.values}, {DNNL_ARG_DIFF_DST, out.gradient}, {DNNL_ARG_DIFF_SRC, out.gradient}});
}

Tensor LeanLoop::convolution(const Tensor& in, memory::dim channels, bool input_gradient) {
  const auto source = in.values.get_desc();
  const memory::dims extent = source.dims(), kernel{channels, extent[1], 3, 3}, one{1, 1};
  const memory::desc any(kernel, kF32, Tag::any), bias({channels}, kF32, Tag::a);
  const memory::desc result({extent[0], channels, extent[2], extent[3]}, kF32, Tag::nhwc);
  constexpr auto direct = dnnl::algorithm::convolution_direct;
  const memory::desc canonical(kernel, kF32, Tag::ohwi);
  const Parameter w = parameter(canonical), b = parameter(bias);
  Tensor out{tensor(result), tensor(result)};

  const dnnl::convolution_forward::primitive_desc forward({kForward, direct, source, any, bias, result, one, one, one},
                                                          with_relu(true), engine_);
  const memory weights = packed(forward_, w.values, forward.weights_desc());
  forward_.emplace_back(dnnl::convolution_forward(forward), Arguments{{DNNL_ARG_SRC, in.values},
                                                                      {DNNL_ARG_WEIGHTS, weights},
                                                                      {DNNL_ARG_BIAS, b.values},
                                                                      {DNNL_ARG_DST, out.values}});
  layer_backward_.clear();
  add_relu_backward(out);
  const dnnl::convolution_backward_weights::primitive_desc to_weights(
      {direct, source, any, bias, result, one, one, one}, engine_, forward);
  const memory gradient =
      to_weights.diff_weights_desc() == canonical ? w.gradient : tensor(to_weights.diff_weights_desc());
  layer_backward_.emplace_back(dnnl::convolution_backward_weights(to_weights),
                               Arguments{{DNNL_ARG_SRC, in.values},
                                         {DNNL_ARG_DIFF_DST, out.gradient},
                                         {DNNL_ARG_DIFF_WEIGHTS, gradient},
                                         {DNNL_ARG_DIFF_BIAS, b.gradient}});
  unpack(gradient, w.gradient);
  if (input_gradient) {
    const dnnl::convolution_backward_data::primitive_desc to_data({direct, source, any, result, one, one, one}, engine_,
                                                                  forward);
    const memory turned = packed(layer_backward_, w.values, to_data.weights_desc());
    layer_backward_.emplace_back(
        dnnl::convolution_backward_data(to_data),
        Arguments{{DNNL_ARG_DIFF_DST, out.gradient}, {DNNL_ARG_WEIGHTS, turned}, {DNNL_ARG_DIFF_SRC, in.gradient}});
  }
  prepend_backward(layer_backward_);
  return out;
}

Tensor LeanLoop::max_pool(const Tensor& in) {
  const auto source = in.values.get_desc();
  const memory::dims extent = source.dims(), two{2, 2}, none{0, 0};
  const memory::desc result({extent[0], extent[1], extent[2] / 2, extent[3] / 2}, kF32, Tag::nhwc);
  Tensor out{tensor(result), tensor(result)};
  constexpr auto max = dnnl::algorithm::pooling_max;
  const dnnl::pooling_forward::primitive_desc forward({kForward, max, source, result, two, two, none, none}, engine_);
  const dnnl::pooling_backward::primitive_desc backward({max, source, result, two, two, none, none}, engine_, forward);
  const memory winners = tensor(forward.workspace_desc());
  forward_.emplace_back(
      dnnl::pooling_forward(forward),
      Arguments{{DNNL_ARG_SRC, in.values}, {DNNL_ARG_DST, out.values}, {DNNL_ARG_WORKSPACE, winners}});
  prepend_backward({{dnnl::pooling_backward(backward), Arguments{{DNNL_ARG_DIFF_DST, out.gradient},
                                                                 {DNNL_ARG_DIFF_SRC, in.gradient},
                                                                 {DNNL_ARG_WORKSPACE, winners}}}});
  return out;
}

// On plain weights: no reorders (kernels/cpu/dense.cc has the numbers).
Tensor LeanLoop::dense(const Tensor& in, memory::dim units, bool relu) {
  const memory::dims extent = in.values.get_desc().dims();
  const memory::dim batch = extent[0], inputs = static_cast<memory::dim>(count(in.values)) / batch;
  const memory::desc source({batch, inputs}, kF32, Tag::nc), kernel({units, inputs}, kF32, Tag::oi);
  const memory::desc bias({units}, kF32, Tag::a), result({batch, units}, kF32, Tag::nc);
  const memory flat(source, engine_, in.values.get_data_handle());
  const memory flat_gradient(source, engine_, in.gradient.get_data_handle());
  const Parameter w = parameter(kernel), b = parameter(bias);
  Tensor out{tensor(result), tensor(result)};

  const dnnl::inner_product_forward::primitive_desc forward({kForward, source, kernel, bias, result}, with_relu(relu),
                                                            engine_);
  forward_.emplace_back(
      dnnl::inner_product_forward(forward),
      Arguments{
          {DNNL_ARG_SRC, flat}, {DNNL_ARG_WEIGHTS, w.values}, {DNNL_ARG_BIAS, b.values}, {DNNL_ARG_DST, out.values}});
  layer_backward_.clear();
  if (relu) add_relu_backward(out);
  const dnnl::inner_product_backward_weights::primitive_desc to_weights({source, kernel, bias, result}, engine_,
                                                                        forward);
  layer_backward_.emplace_back(dnnl::inner_product_backward_weights(to_weights),
                               Arguments{{DNNL_ARG_SRC, flat},
                                         {DNNL_ARG_DIFF_DST, out.gradient},
                                         {DNNL_ARG_DIFF_WEIGHTS, w.gradient},
                                         {DNNL_ARG_DIFF_BIAS, b.gradient}});
  const dnnl::inner_product_backward_data::primitive_desc to_data({source, kernel, result}, engine_, forward);
  layer_backward_.emplace_back(
      dnnl::inner_product_backward_data(to_data),
      Arguments{{DNNL_ARG_DIFF_DST, out.gradient}, {DNNL_ARG_WEIGHTS, w.values}, {DNNL_ARG_DIFF_SRC, flat_gradient}});
  prepend_backward(layer_backward_);
  return out;
}

LeanLoop::LeanLoop(memory::dim batch) {
  parameters_.reserve(8);
  const Tensor images{tensor({{batch, 1, 28, 28}, kF32, Tag::nhwc}), memory()};
  for (std::size_t i = 0; i < count(images.values); ++i) {
    floats(images.values)[i] = static_cast<float>(random_.next_unit());
  }
  for (memory::dim i = 0; i < batch; ++i) labels_.push_back(static_cast<int>(random_.below(kClasses)));
  const Tensor pooled = max_pool(convolution(max_pool(convolution(images, 32, false)), 64, true));
  scores_ = dense(dense(pooled, 128, true), kClasses, false);
}

void LeanLoop::loss() {
  for (std::size_t i = 0; i < labels_.size(); ++i) {
    const float* scores = floats(scores_.values) + i * kClasses;
    float* gradient = floats(scores_.gradient) + i * kClasses;
    float sum = 0.0f, greatest = scores[0];
    for (int c = 1; c < kClasses; ++c) greatest = std::max(greatest, scores[c]);
    for (int c = 0; c < kClasses; ++c) sum += gradient[c] = std::exp(scores[c] - greatest);
    for (int c = 0; c < kClasses; ++c) gradient[c] = gradient[c] / sum - (c == labels_[i] ? 1.0f : 0.0f);
  }
}

void LeanLoop::update() {
  const float scale = 1.0f / static_cast<float>(labels_.size());
  for (Parameter& p : parameters_) {
    float* __restrict w = floats(p.values);
    float* __restrict v = p.velocity.data();
    const float* __restrict g = floats(p.gradient);
    for (std::size_t i = 0; i < p.velocity.size(); ++i) {
      v[i] = 0.9f * v[i] + scale * g[i];
      w[i] -= 0.01f * v[i];
    }
  }
}

void LeanLoop::step() {
  for (auto& [primitive, arguments] : forward_) primitive.execute(stream_, arguments);
  loss();
  for (auto& [primitive, arguments] : backward_) primitive.execute(stream_, arguments);
  stream_.wait();
  update();
}

}  // namespace

int main(int argc, char** argv) {
  std::int64_t batch = 64, steps = 100, windows = 5;
  int threads = 1;
  CLI::App app("Trains cnn with bare oneDNN primitives and prints samples per second");
  app.add_option("--batch", batch)->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--threads", threads)->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--steps", steps, "in each timed window")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--windows", windows)->check(CLI::PositiveNumber)->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  omp_set_num_threads(threads);
  LeanLoop loop(batch);
  for (std::int64_t step = 0; step < steps / 5 + 1; ++step) loop.step();
  rubato::bench::Stopwatch stopwatch;
  for (std::int64_t window = 0; window < windows; ++window) {
    stopwatch.start();
    for (std::int64_t step = 0; step < steps; ++step) loop.step();
    stopwatch.stop(steps * batch);
  }
  fmt::print("lean_loop cnn batch {}: {} (best of {} windows of {} steps; {} threads)\n", batch, stopwatch.text(),
             windows, steps, threads);
}
