#include "sim/replay/run_record.h"

#include <algorithm>
#include <filesystem>

#include "protocol/record_file.h"

namespace rubato::sim {

using protocol::Fate;
using protocol::RecordEntry;
using protocol::RecordHeader;
using protocol::RecordReader;
using What = RecordedUpdate::What;

namespace {

// Takes entries of one shard after the other, and makes updates of them.
class RunRecordBuilder {
 public:
  explicit RunRecordBuilder(const RecordedJob& job) : job_(job), open_(job.slices) { run_.slices.resize(job.slices); }

  Status add(RecordReader& reader) {
    const RecordHeader& header = reader.header();
    RUBATO_TRY(agree(header, reader.path()));
    const NodeId node = header.node();
    if (node.role == Role::kServer) shards_.insert(node.rank);
    new_life_ = true;
    while (true) {
      RUBATO_ASSIGN(const std::optional<RecordEntry> entry, reader.next());
      if (!entry) break;
      const Status taken = std::visit([&](const auto& what) { return take(node, what); }, *entry);
      if (!taken.ok()) return taken.error().in(reader.path());
    }
    if (reader.bytes_cut_off() > 0)
      run_.notes.push_back(fmt::format("{} ends in the middle of a block: its last {} bytes are left out",
                                       reader.path(), reader.bytes_cut_off()));
    return {};
  }

  Result<RunRecord> finish(const std::string& dir) {
    for (std::uint32_t rank = 0; rank < job_.shards; ++rank)
      if (!shards_.contains(rank))
        return Error{Cause::kData, fmt::format("{} has no record of {}", dir, server_node(rank).name())};
    for (SliceId slice = 0; slice < job_.slices; ++slice) {
      close_unless(slice, kNoClock);
      const auto last = snapshots_.find({last_snapshot_, slice});
      if (last != snapshots_.end()) run_.slices[slice].final_version = last->second;
      run_.pushes += run_.slices[slice].pushes.size();
    }
    return std::move(run_);
  }

  RunRecord& run() { return run_; }

 private:
  Status agree(const RecordHeader& header, const std::string& path) {
    if (header.job_hash != job_.hash)
      return Error{Cause::kRefused, fmt::format("{} is of another job than the job.toml of its run: that was changed, "
                                                "or another release wrote it",
                                                path)};
    if (header.slices != job_.slices || header.placement != job_.placement)
      return Error{Cause::kRefused, fmt::format("{} is of a model that is cut into other slices, {} of them; this "
                                                "program makes {}",
                                                path, header.slices, job_.slices)};
    if (header.node().role != Role::kWorker) return {};
    const auto same = [&](std::string& known, const std::string& found, const char* what) -> Status {
      if (known.empty()) known = found;
      if (known == found) return {};
      run_.notes.push_back(fmt::format("{} was written with {} \"{}\", others with \"{}\"", path, what, found, known));
      return {};
    };
    RUBATO_TRY(same(run_.data_fingerprint, header.data_fingerprint, "data"));
    RUBATO_TRY(same(run_.processor, header.processor, "processor"));
    return same(run_.device, header.device, "device");
  }

  Status expect(NodeId node, Role role) const {
    if (node.role == role) return {};
    return Error{Cause::kData, fmt::format("an entry that {} does not write", node.name())};
  }

  Status take(NodeId node, const protocol::RecordedStep& step) {
    RUBATO_TRY(expect(node, Role::kWorker));
    auto& steps = run_.steps[node.rank];
    if (std::exchange(new_life_, false)) {
      // Above all that was settled of the life before: what that had begun beyond came to nothing.
      steps.erase(steps.lower_bound(step.clock), steps.end());
      run_.lives.insert({node.rank, step.clock});
    }
    steps.insert_or_assign(step.clock, step);
    return {};
  }

  Status take(NodeId node, const protocol::RecordedNodes& more) {
    RUBATO_TRY(expect(node, Role::kWorker));
    auto& steps = run_.steps[node.rank];
    const auto step = steps.find(more.clock);
    if (step == steps.end())
      return Error{Cause::kData, fmt::format("more nodes of step {}, which is not there", more.clock)};
    step->second.nodes.insert(step->second.nodes.end(), more.nodes.begin(), more.nodes.end());
    return {};
  }

  Status take(NodeId node, const protocol::RecordedSettle& settle) {
    RUBATO_TRY(expect(node, Role::kServer));
    const bool committed = job_.apply == Mode::Apply::kCommitted;
    if (settle.fate == (committed ? Fate::kApplied : Fate::kAccepted) || (!committed && settle.fate == Fate::kDropped))
      return Error{Cause::kData,
                   fmt::format("a push of fate {} in a mode that has none", static_cast<int>(settle.fate))};
    const RecordedPush push{settle.worker, settle.clock, settle.node, settle.gradient_hash};
    switch (job_.apply) {
      case Mode::Apply::kOnArrival:
        if (settle.fate == Fate::kEmpty) return {};  // changed nothing, and needs no gradient
        run_.slices[settle.slice].pushes.push_back(push);
        close(settle.slice, settle.fate == Fate::kApplied ? What::kApplied : What::kNone, settle.weights_hash);
        return {};
      case Mode::Apply::kAggregate:
        // All pushes of a clock stand together, behind them its update, if it became one.
        close_unless(settle.slice, settle.clock);
        if (settle.fate == Fate::kEmpty) return {};
        run_.slices[settle.slice].pushes.push_back(push);
        open_[settle.slice] = settle.clock;
        return {};
      case Mode::Apply::kCommitted:
        accepted_[{settle.slice, push.step()}] = {settle.fate, push};
        return {};
    }
    return {};
  }

  void close(SliceId id, What what, std::uint32_t weights_hash = 0, double rate = 0.0) {
    SliceRecord& slice = run_.slices[id];
    slice.updates.push_back({what, weights_hash, rate, slice.pushes.size()});
    slice.versions += what != What::kNone;
  }

  // An aggregate that was not applied.
  void close_unless(SliceId id, Clock clock) {
    if (!open_[id] || *open_[id] == clock) return;
    close(id, What::kNone);
    open_[id].reset();
  }

  Status take(NodeId node, const protocol::RecordedContribution& part) {
    RUBATO_TRY(expect(node, Role::kServer));
    const auto accepted = accepted_.find({part.slice, {part.worker, part.clock}});
    if (accepted == accepted_.end())
      return Error{Cause::kData, fmt::format("step {} of worker-{} in an update of slice {}, which did not accept it",
                                             part.clock, part.worker, part.slice)};
    // What was empty or not finite has no part in the sum.
    if (accepted->second.fate == Fate::kAccepted) run_.slices[part.slice].pushes.push_back(accepted->second.push);
    accepted_.erase(accepted);
    return {};
  }

  Status take(NodeId node, const protocol::RecordedApply& apply) {
    RUBATO_TRY(expect(node, Role::kServer));
    if (job_.apply == Mode::Apply::kAggregate && open_[apply.slice] != apply.clock)
      return Error{Cause::kData, fmt::format("an update of clock {} without pushes of it", apply.clock)};
    close(apply.slice, apply.empty ? What::kUnchanged : What::kApplied, apply.weights_hash, apply.rate);
    open_[apply.slice].reset();
    return {};
  }

  Status take(NodeId node, const protocol::RecordedSnapshot& held) {
    RUBATO_TRY(expect(node, Role::kServer));
    last_snapshot_ = std::max(last_snapshot_, held.snapshot);
    snapshots_[{held.snapshot, held.slice}] = held.version;
    return {};
  }

  const RecordedJob job_;
  RunRecord run_;
  bool new_life_ = false;  // the file at hand has had no step so far
  std::set<std::uint32_t> shards_;
  std::vector<std::optional<Clock>> open_;  // by slice: the clock whose pushes come, and no update yet
  struct Accepted {
    Fate fate = Fate::kAccepted;
    RecordedPush push;
  };
  std::map<std::pair<SliceId, StepKey>, Accepted> accepted_;  // and in no commit so far
  std::uint64_t last_snapshot_ = 0;
  std::map<std::pair<std::uint64_t, SliceId>, Version> snapshots_;
};

}  // namespace

const protocol::RecordedStep* RunRecord::find(StepKey key) const {
  const auto worker = steps.find(key.first);
  if (worker == steps.end()) return nullptr;
  const auto step = worker->second.find(key.second);
  return step == worker->second.end() ? nullptr : &step->second;
}

protocol::RoutingTable routing_of(const Job& job, const protocol::Manifest& manifest) {
  protocol::RoutingTable routing;
  routing.addresses.resize(static_cast<std::size_t>(job.cluster.servers * job.cluster.shard_threads));
  routing.slices =
      protocol::cut_slices(manifest, static_cast<std::uint64_t>(job.cluster.slice_bytes), routing.shards());
  return routing;
}

RecordedJob recorded_job(const Job& job, const protocol::RoutingTable& routing) {
  return {.hash = job_hash(job),
          .apply = parse_mode(job.consistency.mode).value().apply(),
          .shards = routing.shards(),
          .slices = static_cast<std::uint32_t>(routing.slices.size()),
          .placement = protocol::placement_hash(routing.slices)};
}

Result<RunRecord> read_run_record(const std::string& dir, const RecordedJob& job) {
  std::vector<std::filesystem::path> paths;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(dir, error))
    if (entry.path().extension() == ".bin") paths.push_back(entry.path());
  if (paths.empty())
    return Error{Cause::kData, fmt::format("{} has no records: was the job run with train.record = true?", dir)};
  // Later lives after earlier ones: their names are longer.
  std::ranges::sort(paths, [](const auto& a, const auto& b) {
    const std::string left = a.filename(), right = b.filename();
    return left.size() != right.size() ? left.size() < right.size() : left < right;
  });

  RunRecordBuilder builder(job);
  for (const auto& path : paths) {
    RUBATO_ASSIGN(std::optional<RecordReader> reader, RecordReader::open(path));
    if (!reader) {
      builder.run().notes.push_back(fmt::format("{} has no whole header: its member never took part", path.string()));
      continue;
    }
    builder.run().bytes += std::filesystem::file_size(path);
    RUBATO_TRY(builder.add(*reader));
  }
  return builder.finish(dir);
}

}  // namespace rubato::sim
