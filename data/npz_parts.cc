#include "data/npz_parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/nearest.h"
#include "data/zip_contents.h"

namespace rubato::data {
namespace {

std::string images_of(Split split) { return npz_part(split) + "_images"; }
std::string labels_of(Split split) { return npz_part(split) + "_labels"; }

bool has(const ZipFile& zip, const std::string& array) { return zip.has(array + ".npy"); }

// No part is a mistyped other one: whoever took its samples would evaluate on what was trained on.
std::string guess_for(const std::string& array, const std::vector<std::string>& members) {
  std::vector<std::string> may_be_meant;
  for (const std::string& member : members) {
    const auto is_of = [&](Split split) { return member.starts_with(npz_part(split) + "_"); };
    const bool own = member.starts_with(array.substr(0, array.find('_')) + "_");
    const bool others = is_of(Split::kTrain) || is_of(Split::kValidation) || is_of(Split::kTest);
    if (member.ends_with(".npy") && (own || !others)) may_be_meant.push_back(member.substr(0, member.size() - 4));
  }
  return did_you_mean(nearest(array, may_be_meant));
}

std::string way_out(const ZipFile& zip, Split split) {
  if (split == Split::kTrain)
    return "; name the arrays so, as in numpy.savez(FILE, train_images=..., train_labels=...)";
  const std::string another = "; name a file that has them, or";
  if (split == Split::kValidation)
    return another + " set evaluation.holdout, to 0.1 for a tenth of the training samples";
  if (has_npz_part(zip, Split::kValidation))
    return another + " set evaluation.part = \"validation\", a part that is there";
  return another + ", to train without a test, set evaluation.enabled = false";
}

}  // namespace

bool has_npz_part(const ZipFile& zip, Split split) { return has(zip, images_of(split)) && has(zip, labels_of(split)); }

std::string npz_part(Split split) {
  return split == Split::kTrain ? "train" : split == Split::kValidation ? "val" : "test";
}

Status check_npz_part(const ZipFile& zip, const std::string& path, Split split) {
  const std::string images = images_of(split), labels = labels_of(split);
  if (has_npz_part(zip, split)) return {};
  const ZipContents contents = contents_of_zip(zip);
  if (contents.kind == ZipContents::Kind::kTorch)
    return Error{Cause::kData,
                 fmt::format("{}: expected a numpy archive (npz), found {}; numpy.savez(FILE, {}=..., {}=...) writes "
                             "what is",
                             path, contents.text(), images, labels)};
  std::vector<std::string> members;
  for (const ZipFile::Member& member : zip.members()) members.push_back(member.name);
  const std::string missing = has(zip, images) ? labels : images, guess = guess_for(missing, members);
  const bool whole_part = guess.empty() && !has(zip, images) && !has(zip, labels);
  return Error{
      Cause::kData,
      fmt::format("{}: {}: expected {} and {}, found {}{}", path,
                  whole_part ? fmt::format("there is no {} part", name_of(split)) : missing + " is missing", images,
                  labels, listed_names(members, "no arrays"), whole_part ? way_out(zip, split) : guess)};
}

}  // namespace rubato::data
