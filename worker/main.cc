// rubato-worker: one worker, or, with --evaluator, the member that reads fixed snapshots.
//
// Two threads: the main thread runs the loop, the sockets and the client (a core); the compute thread
// runs the trainer. They meet in a bounded queue of orders, and in a mailbox of reports.
#include <CLI/CLI.hpp>
#include <new>
#include <optional>
#include <thread>

#include "base/bounded_queue.h"
#include "base/log.h"
#include "base/out_of_memory.h"
#include "base/thread_name.h"
#include "protocol/member_options.h"
#include "transport/mailbox.h"
#include "worker/evaluator_client.h"
#include "worker/pace.h"
#include "worker/trainer.h"
#include "worker/worker_client.h"

namespace rubato::worker {
namespace {

using protocol::Outbox;

// Orders in the queue at most: a step or two, and each slice's weights once; a job that cuts its model into
// more slices than this is beyond what one host holds. The queue grows with what is in it.
constexpr std::size_t kOrdersMax = 1 << 24;

std::vector<std::string> slice_names(const protocol::RoutingTable& routing, const protocol::Manifest& manifest) {
  std::vector<std::string> names;
  for (const protocol::SliceSpec& slice : routing.slices) {
    std::string& name = names.emplace_back();
    for (const protocol::Piece& piece : slice.pieces)
      name += fmt::format("{}{}[{}..{})", name.empty() ? "" : " ", manifest[piece.parameter].name, piece.first,
                          piece.first + piece.count);
  }
  return names;
}

// `burden` and `log` are a worker's; an evaluator has none.
template <typename Client>
int run(Client& client, protocol::Process& process, Trainer& trainer, std::optional<Burden> burden = {},
        std::optional<StepLog> log = {}) {
  BoundedQueue<ComputeOrder> orders(kOrdersMax);
  bool routed = false;
  process.node().host(client, [&](TimeNs /*now*/) {
    if (!routed && !client.routing().slices.empty()) {
      routed = true;
      try {  // before the first order is queued: the queue orders it
        trainer.set_routing(client.routing(), process.memory());
      } catch (const std::bad_alloc&) {
        const Error error = trainer.no_memory();
        return process.end(error.exit_code(), error.message);
      }
    }
    client.hand_orders([&](ComputeOrder order) {
      RUBATO_CHECK(orders.try_push(std::move(order)), "more than {} orders wait", kOrdersMax);
    });
  });
  transport::Mailbox<ComputeReport> reports(process.loop(), [&](ComputeReport report) {
    process.node().enter(client, [&](TimeNs now, Outbox& out) { client.report(now, std::move(report), out); });
  });
  const Trainer::Report post = [&](ComputeReport report) { reports.put(std::move(report)); };
  std::optional<Pace> pace;
  if (burden) pace.emplace(std::move(*burden), std::move(*log), post);
  std::thread compute([&] {
    name_thread("compute");
    WorkerState kept;
    const Trainer::Report at_its_pace = [&](ComputeReport report) { pace->pass(std::move(report)); };
    trainer.run([&] { return orders.pop(); }, pace ? at_its_pace : post, kept);
  });
  const int exit_code = process.run();
  orders.close();
  if (pace) pace->stop();
  compute.join();
  if (timeline::Timeline* drawn = process.timeline()) {
    drawn->name_slices(slice_names(client.routing(), client.manifest()));
    process.write_timeline();
  }
  return exit_code;
}

Result<int> start(const protocol::MemberOptions& options, bool evaluator) {
  const NodeId self = evaluator ? evaluator_node(options.rank) : worker_node(options.rank);
  log::open(self.name(), options.log_level);
  end_where_memory_ends();
  RUBATO_ASSIGN(const Job job, load_job(options.job_file));
  RUBATO_ASSIGN(const auto scheduler, protocol::parse_scheduler_address(options.scheduler));
  RUBATO_ASSIGN(auto process,
                protocol::Process::open(job, {self, scheduler.job_id, options.run_dir, options.lifeline}));
  std::optional<Result<std::unique_ptr<Trainer>>> opened;  // with the data, which may take its time to read
  process->meanwhile([&] { opened.emplace(Trainer::open(job, self, options.run_dir)); });
  RUBATO_ASSIGN(const auto trainer, std::move(*opened));
  log::debug("computing on {}", trainer->device_description());
  RUBATO_TRY(process->node().connect(kSchedulerNode, scheduler.address));

  protocol::Register details = protocol::registration(job);
  details.manifest = trainer->manifest();
  details.data_fingerprint = trainer->data_fingerprint();
  details.train_samples = trainer->train_samples();
  if (evaluator) {
    EvaluatorClient client(self, std::move(details), protocol::timing_of(job));
    return run(client, *process, *trainer);
  }
  if (job.train.record)
    RUBATO_TRY(process->record({self}, {job_hash(job), trainer->data_fingerprint(), trainer->device_description()}));
  RUBATO_ASSIGN(Burden burden, Burden::open(job, self.rank));
  RUBATO_ASSIGN(StepLog log, StepLog::create(options.run_dir, self.rank));
  if (process->timeline() != nullptr) trainer->draw(&process->timeline()->add_lane("compute"));
  WorkerClient client(self, std::move(details), protocol::timing_of(job));
  return run(client, *process, *trainer, std::move(burden), std::move(log));
}

}  // namespace
}  // namespace rubato::worker

int main(int argc, char** argv) {
  CLI::App app(
      "A Rubato worker: pulls weights, computes gradients on its share of the data, pushes them.\n"
      "scripts/rubato starts workers by itself; by hand, on another host of the same job:\n"
      "  rubato-worker --job RUN/job.toml --run-dir RUN --scheduler tcp://10.0.0.1:4100#9f3ac2... --rank 1");
  rubato::protocol::MemberOptions options;
  bool evaluator = false;
  rubato::protocol::add_member_options(app, options);
  app.add_flag("--evaluator", evaluator, "evaluate fixed snapshots and write the final weights, instead of training");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : static_cast<int>(rubato::Cause::kUsage);
  }
  const rubato::Result<int> exit_code = rubato::worker::start(options, evaluator);
  if (exit_code.ok()) return *exit_code;
  rubato::log::error("{}", exit_code.error().message);
  return exit_code.error().exit_code();
}
