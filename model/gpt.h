// gpt: a decoder of the transformer (Vaswani et al. 2017) as GPT-2 has it (Radford et al. 2019), over tokens:
//
//   wte            rows of a table for tokens, and for their positions, added
//   h.0 .. h.N-1   x + attn.c_proj(attention(attn.c_attn(ln_1(x)))), then
//                  x + mlp.c_proj(gelu(mlp.c_fc(ln_2(x)))), four times as wide within
//   ln_f, lm_head  for each position a score for each class
//
// It starts as GPT-2 does: weights normal of deviation 0.02, those of both c_proj divided by sqrt(2 N). Dropout, where
// asked for, stands behind the tables and behind each c_proj.
#pragma once

#include <cstdint>

#include "base/job.h"
#include "base/result.h"
#include "model/layers.h"

namespace rubato::model {

// Errors: kUsage, where the input is no sequence of tokens.
[[nodiscard]] Status add_gpt(NetworkBuilder& net, const ModelConfig& config, std::int64_t classes, std::uint64_t seed);

}  // namespace rubato::model
