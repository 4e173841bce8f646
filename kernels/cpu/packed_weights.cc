#include "kernels/cpu/packed_weights.h"

namespace rubato::kernels {
PackedWeights::PackedWeights(const CpuContext& context, const dnnl::memory::desc& canonical,
                             const dnnl::memory::desc& wanted)
    : in_place_(canonical == wanted) {
  if (in_place_) return;
  packed_ = dnnl::memory(wanted, context.engine);
  reorder_ = make_reorder(context, canonical, wanted, scratch_bytes_);
}

void PackedWeights::bind(ConvertingPrimitive& user, void* scratch) {
  if (in_place_) return;
  reorder_.set(DNNL_ARG_TO, packed_.get_data_handle());
  reorder_.set(DNNL_ARG_SCRATCHPAD, scratch);
  user.set(DNNL_ARG_WEIGHTS, packed_.get_data_handle());
}

Status PackedWeights::load(ConvertingPrimitive& user, const float* values, Version version) {
  if (in_place_) {
    user.set(DNNL_ARG_WEIGHTS, values);
    return {};
  }
  if (version_ == version) return {};
  version_.reset();
  reorder_.set(DNNL_ARG_FROM, values);
  RUBATO_TRY(reorder_.execute());
  version_ = version;
  return {};
}

PackedGradient::PackedGradient(const CpuContext& context, const dnnl::memory::desc& canonical,
                               const dnnl::memory::desc& wanted)
    : in_place_(canonical == wanted) {
  if (in_place_) return;
  packed_ = dnnl::memory(wanted, context.engine);
  reorder_ = make_reorder(context, wanted, canonical, scratch_bytes_);
}

void PackedGradient::bind(ConvertingPrimitive& producer, void* scratch) {
  if (in_place_) return;
  producer.set(DNNL_ARG_DIFF_WEIGHTS, packed_.get_data_handle());
  reorder_.set(DNNL_ARG_FROM, packed_.get_data_handle());
  reorder_.set(DNNL_ARG_SCRATCHPAD, scratch);
}

Status PackedGradient::produce(ConvertingPrimitive& producer, float* gradient) {
  if (in_place_) {
    producer.set(DNNL_ARG_DIFF_WEIGHTS, gradient);
    return producer.execute();
  }
  RUBATO_TRY(producer.execute());
  reorder_.set(DNNL_ARG_TO, gradient);
  return reorder_.execute();
}

}  // namespace rubato::kernels
