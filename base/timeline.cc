#include "base/timeline.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "base/life_file.h"

namespace rubato::timeline {
namespace {

// Steps in which buffers grow, pages are touched and kernels are made.
constexpr Clock kWarmUp = 10;

// Times of two processes can be compared where their steady clocks are the same one: since one start of one host.
std::string clock_name() {
  std::string name;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> name;
  return name;
}

std::string span_line(const Lane& lane, const Span& span) {
  std::string line = fmt::format(R"({{"lane":"{}","what":"{}","clock":{},"begin":{},"end":{})", lane.name(), span.what,
                                 span.clock, span.begin, span.end);
  if (!span.of.text().empty()) line += fmt::format(R"(,"of":"{}")", span.of.text());
  if (span.slice != Span::kNoSlice) line += fmt::format(R"(,"slice":{})", span.slice);
  if (span.peer != kSchedulerNode) line += fmt::format(R"(,"peer":"{}")", span.peer.name());
  if (span.applied) line += R"(,"applied":true)";
  return line + "}";
}

}  // namespace

Window window_of(const Job& job) {
  const Clock count = job.train.timeline;
  if (job.train.steps == 0) return {0, kWarmUp + count};  // which are the last is known to whoever draws them
  return {std::clamp<Clock>(job.train.steps - count, 0, kWarmUp), count};
}

Label::Label(std::string_view text) : size_(static_cast<std::uint8_t>(std::min(text.size(), text_.size()))) {
  std::copy_n(text.begin(), size_, text_.begin());
}

Lane::Lane(std::string name, Window window, std::size_t spans_max) : name_(std::move(name)), window_(window) {
  spans_.reserve(spans_max);
}

void Lane::add(const Span& span) {
  if (!window_.has(span.clock)) return;
  if (spans_.size() == spans_.capacity() && span.clock >= kWarmUp && !made_room_) {
    std::erase_if(spans_, [](const Span& other) { return other.clock < kWarmUp; });
    made_room_ = true;
  }
  if (spans_.size() == spans_.capacity()) {
    ++left_out_;
    return;
  }
  spans_.push_back(span);
}

Lane& Timeline::add_lane(std::string name) {
  return *lanes_.emplace_back(std::make_unique<Lane>(std::move(name), window_));
}

std::vector<std::string> Timeline::lines(NodeId node) const {
  std::string slices, lanes;
  for (const std::string& name : slices_) slices += fmt::format(R"({}"{}")", slices.empty() ? "" : ",", name);
  std::uint64_t left_out = 0;
  for (const auto& lane : lanes_) {
    lanes += fmt::format(R"({}"{}")", lanes.empty() ? "" : ",", lane->name());
    left_out += lane->left_out();
  }
  std::vector<std::string> lines = {
      fmt::format(R"({{"node":"{}","clock":"{}","first":{},"steps":{},"lanes":[{}],"left_out":{},"slices":[{}]}})",
                  node.name(), clock_name(), window_.first, window_.count, lanes, left_out, slices)};
  for (const auto& lane : lanes_)
    for (const Span& span : lane->spans()) lines.push_back(span_line(*lane, span));
  return lines;
}

Status Timeline::write(const std::string& run_dir, NodeId node) const {
  RUBATO_ASSIGN(const LifeFile made, create_life_file(run_dir + "/timeline", node.name(), "jsonl"));
  std::FILE* file = ::fdopen(made.descriptor, "w");
  bool written = file != nullptr;
  for (const std::string& line : lines(node)) written = written && std::fprintf(file, "%s\n", line.c_str()) > 0;
  const bool closed = file != nullptr && std::fclose(file) == 0;
  if (!written || !closed)
    return Error{Cause::kStorage, fmt::format("cannot write {}: {}", made.path, std::strerror(errno))};
  return {};
}

}  // namespace rubato::timeline
