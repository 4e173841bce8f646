#include "server/update.h"

#include "kernels/cpu/apply_rule.h"
#include "kernels/initialize.h"

namespace rubato::server {

void initial_weights(const protocol::SliceSpec& slice, const protocol::Manifest& manifest, std::uint64_t seed,
                     std::span<float> weights) {
  std::size_t at = 0;
  for (const protocol::Piece& piece : slice.pieces) {
    kernels::initialize(manifest[piece.parameter], seed, static_cast<std::int64_t>(piece.first),
                        weights.subspan(at, piece.count));
    at += piece.count;
  }
}

void apply_update(const kernels::RuleConfig& rule, const protocol::SliceSpec& slice, const protocol::Manifest& manifest,
                  const Update& update, const kernels::ConstSlotView& current, const kernels::SlotView& next) {
  const kernels::UpdateScalars scalars =
      kernels::update_scalars(rule, manifest[slice.pieces.front().parameter], update.rate,
                              1.0 / static_cast<double>(update.samples), update.version);
  kernels::cpu::apply_rule(rule, scalars, current, update.gradient, next);
}

}  // namespace rubato::server
