// Texts that name classes, and their numbers.
//
// Where all of them are whole numbers they are the numbers of the classes, counted from data.first_label. Otherwise
// they are names, and numbered in the order of their bytes. data.ignored_labels are neither.
//
// Thread-safety: immutable once made.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/job.h"
#include "base/result.h"

namespace rubato::data {

class ClassNames {
 public:
  // From the texts of the training table. Errors: kData, if data.classes is not the number of names.
  static Result<ClassNames> make(const std::vector<std::string>& texts, const DataConfig& config,
                                 const std::string& file);

  // kNoLabel, if it is an ignored one. Errors: what is wrong with it, for a message that says where it is.
  [[nodiscard]] Result<std::int32_t> number(const std::string& text) const;
  // In the order of their numbers; none where texts are numbers.
  [[nodiscard]] std::vector<std::string> names() const;

 private:
  [[nodiscard]] bool ignores(const std::string& text) const;

  std::int64_t classes_ = 0, first_ = 0;
  std::vector<std::int64_t> ignored_;
  std::map<std::string, std::int32_t> names_;  // none where texts are numbers
};

}  // namespace rubato::data
