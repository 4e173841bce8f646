// A data set: numbered samples, which it makes batches of.
//
// A sample is an input (height x width x channels floats, channels last) with a label, or, for models
// without an input, a target alone. Ids run from 0 to size() - 1 and never change their meaning.
//
// Invariants: what samples there are, and what they are made into, does not change once it is open. What open_dataset
// can see of the files it has said; only a kind that reads them later can fail in gather.
// Thread-safety: all of it may be called from several threads at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/job.h"
#include "base/no_label.h"
#include "base/result.h"

namespace rubato::data {

struct Fitted;  // data/fitted.h

struct SampleShape {
  std::int64_t height = 0, width = 0, channels = 0;
  [[nodiscard]] std::int64_t floats() const { return height * width * channels; }
  friend bool operator==(const SampleShape&, const SampleShape&) = default;
};

[[nodiscard]] std::string text_of(const SampleShape& shape);  // for people: "28 x 28 x 1"

// A batch for the model to read. Reused: gathering into it again allocates only if it must grow.
struct BatchBuffer {
  std::int64_t count = 0;
  std::vector<float> inputs;              // count x shape, NHWC
  std::vector<std::int32_t> labels;       // count, or count x positions, or none; each may be kNoLabel
  std::vector<float> targets;             // count x target_floats
  std::vector<std::uint64_t> sample_ids;  // count; keys of dropout and augmentation
  std::vector<std::int32_t> lengths;      // count, of sequences of different lengths; else none
};

// A number to be predicted is kept as (number - mean) / deviation.
struct TargetScale {
  double mean = 0.0, deviation = 1.0;
};

class Dataset {
 public:
  virtual ~Dataset() = default;

  [[nodiscard]] virtual std::uint64_t size() const = 0;
  [[nodiscard]] virtual SampleShape shape() const = 0;           // floats() is 0 where samples have no input
  [[nodiscard]] virtual std::int64_t target_floats() const = 0;  // 0 where samples have none
  // Of each of them, in the order of a sample's targets; what it was in the file is known by that.
  [[nodiscard]] virtual TargetScale target_scale(std::size_t /*target*/) const { return {}; }
  // In the order of their numbers; none where they have none.
  [[nodiscard]] virtual std::span<const std::string> class_names() const { return {}; }
  // What it has learned from its training part; nothing where it learns nothing.
  [[nodiscard]] virtual const Fitted* fitted() const { return nullptr; }
  // The file or folder that its samples are of, for messages; nothing where there is none.
  [[nodiscard]] virtual std::string file() const { return {}; }
  // What people know a sample by, where it is a file of its own, lines or bytes of one; nothing where it is not.
  [[nodiscard]] virtual std::string sample_name(std::uint64_t /*id*/) const { return {}; }
  // What it shares with those that must be on its side of every split (data.group), where its readers leave splitting
  // to who holds samples out; else nothing. Errors: kData, naming a sample that is in none.
  [[nodiscard]] virtual Result<std::string> group_of(std::uint64_t /*id*/) const { return std::string(); }
  // Whether its samples are sequences of different lengths, which gather gives.
  [[nodiscard]] virtual bool has_lengths() const { return false; }
  // SHA-256 over kind, shape and decoded bytes, or what else a kind says that it is over: equal wherever the same data
  // was read.
  [[nodiscard]] virtual const std::string& fingerprint() const = 0;
  // Appends the labels of this sample, as gather would give them; nothing where it has none. No input is read for it.
  virtual void append_labels(std::uint64_t /*id*/, std::vector<std::int32_t>& /*labels*/) const {}
  // The samples with these ids, in this order, as they are in this epoch: what is changed at random about them (crops,
  // flips) is a function of the job's seed, the epoch and the id. Errors: kData, naming the file.
  [[nodiscard]] virtual Status gather(std::uint64_t epoch, std::span<const std::uint64_t> ids,
                                      BatchBuffer& batch) const = 0;
};

// Not every kind has a part for validation; with evaluation.holdout every job has, of its training samples, which are
// the fewer then.
enum class Split : std::uint8_t { kTrain, kValidation, kTest };
[[nodiscard]] const char* name_of(Split split);  // for people: "training", "validation", "test"
// The one that a job is judged by in the end: evaluation.part.
[[nodiscard]] Split evaluated_split(const Job& job);

// The job as its training samples are looked at by who does not train on them: nothing about them is random.
[[nodiscard]] Job as_evaluated(const Job& job);

// Whether what is to be predicted is read with the inputs: labels, or targets.
enum class Answers : std::uint8_t { kRead, kNone };

// How large a data set is, without reading it.
struct DatasetSize {
  std::uint64_t samples = 0;
  SampleShape shape;
  std::int64_t target_floats = 0;
  std::uint64_t bytes = 0;  // in memory, once it is read; of what is held out, beside the training part
  bool lengths = false;     // as has_lengths
  // Where samples are read when they are gathered: what is kept of them then, beside `bytes`, by who gathers them all;
  // and what gathering takes, at most, beside that and the batch.
  std::uint64_t gathered_bytes = 0, gathering_bytes = 0;
};
[[nodiscard]] Result<DatasetSize> size_of_dataset(const Job& job, Split split);

// The data that a job names. Errors: kData, naming the key, the file, what was expected and found.
[[nodiscard]] Result<std::unique_ptr<Dataset>> open_dataset(const Job& job, Split split);

// With evaluation.holdout, the training part and what is held out of it; where that can be, they share what was read.
struct TrainingParts {
  std::shared_ptr<const Dataset> train, held_out;  // nothing is held out without it
};
[[nodiscard]] Result<TrainingParts> open_training_parts(const Job& job);

}  // namespace rubato::data
