#include "exchange/read_weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <span>

#include "base/glob.h"
#include "base/nearest.h"
#include "data/weights_metadata.h"
#include "kernels/initialize.h"

namespace rubato::exchange {
namespace {

// So many names differ where a layer was renamed, with its weights and bias here and there.
constexpr std::size_t kFewNames = 4;

std::string text_of(const std::vector<std::int64_t>& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

class Reading {
 public:
  Reading(const data::TensorFile& file, const std::string& name, const DescribedModel& model,
          const std::vector<std::string>& skip)
      : file_(file), name_(name), model_(model), skip_(skip) {
    const auto layout = file.metadata.find(data::kLayoutKey);
    channels_last_ = layout != file.metadata.end() && layout->second == data::kChannelsLast;
    for (const data::Tensor& tensor : file.tensors) found_.emplace(tensor.name, &tensor);
    for (const model::TorchTensor& tensor : model.tensors)
      if (!name_of(tensor).empty()) wanted_.push_back(name_of(tensor));
  }

  Result<std::vector<float>> run(std::uint64_t seed) const {
    RUBATO_TRY(check_patterns());
    RUBATO_TRY(check_names());
    std::vector<float> all(model_.elements());
    const std::vector<std::span<float>> parts = model_.parts(std::span(all));
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const model::TorchTensor& tensor = model_.tensors[i];
      if (name_of(tensor).empty() || skipped(name_of(tensor))) {
        kernels::initialize(tensor.spec, seed, 0, parts[i]);
      } else {
        RUBATO_TRY(take(tensor, *found_.at(name_of(tensor)), parts[i]));
      }
    }
    return all;
  }

 private:
  template <class... Arguments>
  Error wrong(fmt::format_string<Arguments...> format, Arguments&&... arguments) const {
    return {Cause::kData, fmt::format("{}: {}", name_, fmt::format(format, std::forward<Arguments>(arguments)...))};
  }

  [[nodiscard]] bool skipped(const std::string& tensor) const {
    return std::ranges::any_of(skip_, [&](const std::string& pattern) { return fits(pattern, tensor); });
  }
  [[nodiscard]] const std::string& name_of(const model::TorchTensor& tensor) const {
    return channels_last_ ? tensor.spec.name : tensor.name;
  }
  [[nodiscard]] const std::vector<std::int64_t>& shape_of(const model::TorchTensor& tensor) const {
    return channels_last_ ? tensor.spec.shape : tensor.shape;
  }
  // Of a tensor that is not as the model has it.
  [[nodiscard]] static std::string way_out(const std::string& tensor) {
    return fmt::format("model.skip = [\"{}\"] leaves it out", tensor);
  }

  // One that is about nothing is a typing mistake.
  [[nodiscard]] Status check_patterns() const {
    std::vector<std::string> all = wanted_;
    for (const data::Tensor& tensor : file_.tensors) all.push_back(tensor.name);
    for (const std::string& pattern : skip_)
      if (std::ranges::none_of(all, [&](const std::string& tensor) { return fits(pattern, tensor); }))
        return Error{Cause::kUsage, fmt::format("model.skip: \"{}\" is no tensor of the model or of {}{}", pattern,
                                                name_, did_you_mean(nearest(pattern, all)))};
    return {};
  }

  [[nodiscard]] Status check_names() const {
    std::vector<std::string> spare, missing;
    std::size_t wanted = 0;
    for (const data::Tensor& tensor : file_.tensors)
      if (!is_known(tensor.name) && !skipped(tensor.name)) spare.push_back(tensor.name);
    for (const std::string& name : wanted_) {
      if (skipped(name)) continue;
      ++wanted;
      if (!found_.contains(name)) missing.push_back(name);
    }
    const std::size_t differ = missing.size() + spare.size(), all = wanted + spare.size();
    const bool is_another = differ > kFewNames && 4 * differ > all;
    const auto what_to_do = [&](const std::string& tensor) {
      return is_another ? fmt::format("{} of {} names differ: this looks like another network", differ, all)
                        : way_out(tensor);
    };
    if (!missing.empty())
      return wrong("tensor \"{}\": expected shape {}, found no such tensor{}; {}", missing.front(),
                   text_of(shape_wanted(missing.front())), did_you_mean(nearest(missing.front(), spare)),
                   what_to_do(missing.front()));
    if (spare.empty()) return {};
    return wrong("tensor \"{}\": found shape {}, and the model has no such tensor{}; {}", spare.front(),
                 text_of(found_.at(spare.front())->shape), did_you_mean(nearest(spare.front(), wanted_)),
                 what_to_do(spare.front()));
  }

  [[nodiscard]] const std::vector<std::int64_t>& shape_wanted(const std::string& name) const {
    const auto named = [&](const model::TorchTensor& tensor) { return name_of(tensor) == name; };
    return shape_of(*std::ranges::find_if(model_.tensors, named));
  }

  [[nodiscard]] bool is_known(const std::string& tensor) const {
    return std::ranges::find(wanted_, tensor) != wanted_.end() ||
           std::ranges::find(model_.counters, tensor) != model_.counters.end();
  }

  [[nodiscard]] Status take(const model::TorchTensor& tensor, const data::Tensor& found, std::span<float> out) const {
    if (found.shape != shape_of(tensor))
      return wrong("tensor \"{}\": expected shape {}, found {}; {}", tensor.name, text_of(shape_of(tensor)),
                   text_of(found.shape), way_out(tensor.name));
    if (!found.of_floats())
      return wrong("tensor \"{}\": expected F32, F64, F16 or BF16, found {}", tensor.name, found.dtype);
    const auto odd = std::ranges::find_if(found.values, [](float value) { return !std::isfinite(value); });
    if (odd != found.values.end())
      return wrong("tensor \"{}\": value {} is {}, not a finite float32", tensor.name, odd - found.values.begin(),
                   *odd);
    if (channels_last_)
      std::ranges::copy(found.values, out.begin());
    else
      from_torch(tensor, found.values, out);
    return {};
  }

  const data::TensorFile& file_;
  const std::string& name_;
  const DescribedModel& model_;
  const std::vector<std::string>& skip_;
  bool channels_last_ = false;
  std::map<std::string, const data::Tensor*> found_;
  std::vector<std::string> wanted_;
};

}  // namespace

Result<std::vector<float>> read_weights(const data::TensorFile& file, const std::string& name,
                                        const DescribedModel& model, const std::vector<std::string>& skip,
                                        std::uint64_t seed) {
  return Reading(file, name, model, skip).run(seed);
}

}  // namespace rubato::exchange
