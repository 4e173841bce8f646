#include "exchange/pretrained.h"

#include <fmt/format.h>

#include <string>

#include "base/hash.h"
#include "data/safetensors.h"
#include "exchange/described_model.h"
#include "exchange/read_weights.h"

namespace rubato::exchange {

Result<std::vector<float>> pretrained_weights(const Job& job, const data::DatasetSize& data) {
  const std::string& file = job.model.pretrained;
  RUBATO_ASSIGN(const DescribedModel model, describe_model(job, data));
  RUBATO_ASSIGN(const std::string hash, sha256_of_file(file));
  if (hash != job.model.pretrained_sha256)
    return Error{Cause::kData, fmt::format("{}: its SHA-256 is {}, and the job was resolved with {}: another file lies "
                                           "there now",
                                           file, hash, job.model.pretrained_sha256)};
  RUBATO_ASSIGN(const data::TensorFile tensors, data::read_safetensors(file));
  return read_weights(tensors, file, model, job.model.skip, job.train.seed);
}

}  // namespace rubato::exchange
