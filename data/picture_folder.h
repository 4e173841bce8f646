// Which images a folder has, and of which classes: a folder for each class, as torchvision's ImageFolder reads them.
//
//   PATH/train/CLASS/*   PATH/val/CLASS/* (or validation/)   PATH/test/CLASS/*        parts that are given
//   PATH/CLASS/*                                                                      one that is to be split
//
// Classes are numbered in the order of the bytes of their names, by those of the training part. Their images may lie in
// folders below; what begins with a dot, or does not end like an image, is passed over.
//
// Thread-safety: plain values, and a pure function of the file system.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/job.h"
#include "base/result.h"
#include "data/dataset.h"

namespace rubato::data {

struct PictureEntry {
  std::string name;  // below the folder of its part
  std::int32_t label = 0;
};

struct PictureList {
  std::string folder;
  std::vector<std::string> classes;
  std::vector<PictureEntry> entries;  // by class and name
  bool to_be_split = false;           // it is all there is, of whatever part
  [[nodiscard]] std::string path(const PictureEntry& entry) const { return folder + "/" + entry.name; }
};

// Errors: kData: a folder that is not there, other classes than data.classes, a class without images.
[[nodiscard]] Result<PictureList> list_pictures(const DataConfig& config, Split split);

// Whether there is such a part: a folder of it, or a fraction of all; true where there is no folder at all.
[[nodiscard]] bool has_picture_part(const DataConfig& config, Split split);

// Those of the training part. Errors: the same.
[[nodiscard]] Result<std::vector<std::string>> list_classes(const DataConfig& config);
// All images of a folder of folders of these classes; of one with a folder train, those of its folder test. Errors: the
// same; a class that is not among them.
[[nodiscard]] Result<PictureList> list_pictures_of(const std::string& path, std::vector<std::string> classes);

// One image, or all that are in a folder and below it, by path: of no class. `classes`: what they are called, if that
// is known. Errors: kData: no such file, no image.
[[nodiscard]] Result<PictureList> list_pictures_alone(const std::string& path, std::vector<std::string> classes);

}  // namespace rubato::data
