#include "data/loader.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/thread_name.h"

namespace rubato::data {
namespace {

std::span<const std::uint64_t> ids_of(EpochOrder& order, const SampleRange& range) {
  return order.of(range.epoch).subspan(range.first, range.count);
}

}  // namespace

Loader::Loader(const Dataset& dataset, EpochOrder::Kind order, std::uint64_t seed, std::size_t depth)
    : dataset_(dataset),
      depth_(depth),
      order_(order, seed, dataset.size()),
      wanted_(depth),
      ready_(depth),
      reader_([this, order = EpochOrder(order, seed, dataset.size())] { read_ahead(order); }) {}

Loader::~Loader() {
  wanted_.close();
  ready_.close();
  reader_.join();
}

// Has an order of its own: the two threads share nothing that changes.
void Loader::read_ahead(EpochOrder order) {
  name_thread("reader");
  while (auto work = wanted_.pop()) {
    work->gathered = dataset_.gather(work->range.epoch, ids_of(order, work->range), work->batch);
    if (!ready_.push(std::move(*work))) return;
  }
}

bool Loader::inside(const SampleRange& range) const {
  return range.first <= dataset_.size() && range.count <= dataset_.size() - range.first;
}

Loader::Work Loader::take_oldest() {
  auto work = ready_.pop();
  RUBATO_CHECK(work.has_value() && work->range == under_way_.front());
  under_way_.erase(under_way_.begin());
  return std::move(*work);
}

void Loader::hint(const SampleRange& range) {
  if (!inside(range) || std::ranges::find(under_way_, range) != under_way_.end()) return;
  if (under_way_.size() == depth_) spare_.push_back(take_oldest().batch);
  Work work{range, {}, {}};
  if (!spare_.empty()) {
    work.batch = std::move(spare_.back());
    spare_.pop_back();
  }
  under_way_.push_back(range);
  RUBATO_CHECK(wanted_.try_push(std::move(work)), "no more than depth_ are under way");
}

std::optional<SampleRange> Loader::take_ahead(BatchBuffer& batch) {
  std::optional<Work> work = ready_.try_pop();
  if (!work) return std::nullopt;
  under_way_.erase(under_way_.begin());
  const bool read = work->gathered.ok();  // what was not is gathered once more, by whoever needs it
  spare_.push_back(std::exchange(batch, std::move(work->batch)));
  if (!read) return std::nullopt;
  ++hits_;
  return work->range;
}

Status Loader::gather(const SampleRange& range, BatchBuffer& batch) {
  if (!inside(range)) {
    return Error{Cause::kMalformed, fmt::format("samples [{}, +{}) of epoch {}: the data set has {}", range.first,
                                                range.count, range.epoch, dataset_.size())};
  }
  if (std::ranges::find(under_way_, range) == under_way_.end()) {
    return dataset_.gather(range.epoch, ids_of(order_, range), batch);
  }
  // Ranges hinted before this one have been passed over: they will not be asked for.
  while (under_way_.front() != range) spare_.push_back(take_oldest().batch);
  Work work = take_oldest();
  spare_.push_back(std::exchange(batch, std::move(work.batch)));
  ++hits_;
  return work.gathered;
}

}  // namespace rubato::data
