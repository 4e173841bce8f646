// Text that a model of bytes goes on with: it is shown what there is, a byte is drawn by the scores of its last place,
// and put behind it.
//
// Thread-safety: belongs to one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/result.h"
#include "exchange/evaluate.h"

namespace rubato::exchange {

struct Continuation {
  std::string prompt;  // a byte at least; of a longer one than data.window the model sees the end
  std::int64_t bytes = 0;
  double temperature = 1.0;  // what scores are divided by before softmax; 0: always the likeliest byte
  std::uint64_t seed = 1;
};

// Gives `take` each byte as it is drawn: a function of weights, prompt, temperature and seed. Errors: kUsage, where the
// model is no gpt, whose places see nothing behind them, or the prompt is empty; those of the model.
[[nodiscard]] Status generate(Evaluator& evaluator, const Subject& subject, const Continuation& wanted,
                              const std::function<void(char)>& take);

}  // namespace rubato::exchange
