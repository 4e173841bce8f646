#include "data/labelled_samples.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "data/view.h"

namespace rubato::data {

Result<std::shared_ptr<const Dataset>> labelled_samples(std::shared_ptr<const Dataset> whole, const char* part) {
  std::vector<std::uint64_t> ids;
  std::vector<std::int32_t> labels;
  bool has_labels = false;
  for (std::uint64_t id = 0; id < whole->size(); ++id) {
    labels.clear();
    whole->append_labels(id, labels);
    has_labels = has_labels || !labels.empty();
    if (has_label(labels)) ids.push_back(id);
  }
  if (!has_labels || ids.size() == whole->size()) return whole;
  if (ids.empty())
    return Error{Cause::kData,
                 fmt::format("data.ignored_labels leaves no label in the {} part: of its {} samples each has "
                             "nothing but ignored ones; expected at least one sample with another",
                             part, whole->size())};
  return std::shared_ptr<const Dataset>(view_of(std::move(whole), std::move(ids)));
}

}  // namespace rubato::data
