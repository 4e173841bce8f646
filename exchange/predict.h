// What a model says of samples, written down: outputs and, of classes, which.
//
// Thread-safety: belongs to one thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "data/dataset.h"
#include "exchange/evaluate.h"

namespace rubato::exchange {

struct Predictions {
  std::int64_t samples = 0, outputs = 0;
  std::int64_t positions = 1;            // of a sample, each with a class and its scores
  std::vector<std::int32_t> classes;     // one a position, counted from 0; none where numbers are predicted
  std::int64_t first_label = 0;          // what files call class 0 ...
  std::vector<std::string> names;        // ... or what they call each, where classes have names
  std::vector<std::string> sources;      // of samples: the file, and which part of it
  std::vector<std::string> score_names;  // of a position's scores: classes, or the numbers that are predicted
  // What the network gives, before softmax or sigmoid; of numbers that are predicted, in the file's units.
  std::vector<float> scores;
};

enum class Scores : std::uint8_t { kOutputs, kProbabilities };  // after softmax or sigmoid; numbers have none

// Errors: those of the model.
[[nodiscard]] Result<Predictions> predict(Evaluator& evaluator, const data::Dataset& data, const Job& job,
                                          Scores scores);

// By the ending of `path`: .npz has arrays `class` (int64, as files number them; of names that are no whole numbers
// from 0, in the order of an array of texts, `names`) and `scores` (float32, samples x outputs); .csv a line for each
// sample: sample,class,score_NAME,..., with a column `source` behind the first where samples have one. Without a class
// where there is none. Of several positions both arrays have one axis more, and a line only classes:
// sample,class_0,class_1,... Errors: kUsage, another ending; kStorage.
[[nodiscard]] Status check_ending(const std::string& path);
[[nodiscard]] Status write_predictions(const Predictions& predictions, const std::string& path);
// A table of the first of them, for a terminal.
[[nodiscard]] std::string csv_of(const Predictions& predictions, std::int64_t samples_max);

}  // namespace rubato::exchange
