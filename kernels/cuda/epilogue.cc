#include "kernels/cuda/epilogue.h"

#include "kernels/activation_math.h"
#include "kernels/cuda/column_sums.h"
#include "kernels/cuda/pointwise.h"

namespace rubato::kernels::cuda {

Epilogue::Epilogue(const CudaContext& context, const Desc& desc)
    : context_(context), desc_(desc), keeps_sums_(desc.training && slope_needs_input(desc.activation)) {}

void Epilogue::bind(const Ports& ports) {
  output_ = ports.output;
  output_gradient_ = ports.output_gradient;
  sums_ = keeps_sums_ ? static_cast<float*>(ports.saved) : ports.output;
}

Status Epilogue::launched(cudaError_t error, const char* kernel) const {
  return check(error, "launch of {}'s {} over {} x {} on stream {}", desc_.layer, kernel,
               desc_.results / desc_.channels, desc_.channels, context_.stream.name());
}

Status Epilogue::add_bias(const float* bias) const {
  return launched(enqueue_bias(bias, sums_, desc_.channels, desc_.results, context_.stream.get()), "bias");
}

Status Epilogue::activate() const {
  if (desc_.activation == Activation::kNone) return {};
  return launched(enqueue_activation(desc_.activation, sums_, output_, desc_.results, context_.stream.get()),
                  "activation");
}

Status Epilogue::undo_activation() const {
  if (desc_.activation == Activation::kNone) return {};
  return launched(enqueue_activation_gradient(desc_.activation, sums_, output_gradient_, output_gradient_,
                                              desc_.results, context_.stream.get()),
                  "activation's gradient");
}

Status Epilogue::bias_gradient(float* gradient) const {
  return launched(enqueue_column_sums(output_gradient_, desc_.results / desc_.channels, desc_.channels, gradient,
                                      context_.stream.get()),
                  "bias gradient");
}

}  // namespace rubato::kernels::cuda
