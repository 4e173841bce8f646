#include "transport/sim/sim_network.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>
#include <variant>
#include <vector>

#include "base/check.h"
#include "transport/sim/event_queue.h"
#include "transport/sim/sim_host.h"

namespace rubato::transport {

class SimNetwork::Impl final : public SimWire {
 public:
  using Event = std::variant<std::function<void()>, SimDelivery>;

  explicit Impl(std::uint64_t network_seed) : seed(network_seed) {}

  // For endpoints.
  SimLink& link(SimHost& from, const std::string& to) override;
  PeerId new_peer() override { return next_peer++; }
  void transmit(SimDelivery delivery) override;
  void listening(SimHost& host) override;
  void close(SimConnection connection, SimHost& to) override;
  void leave(SimHost& host) override;

  SimHost& host(const std::string& name);
  void happen(Event event);
  void arrive(SimDelivery delivery);
  void release(std::vector<SimDelivery>& waiting);
  void push(TimeNs at, Event event) { queue.push(std::max(at, now), std::move(event)); }

  const std::uint64_t seed;
  TimeNs now = 0;
  EventQueue<Event> queue;
  std::map<std::string, std::unique_ptr<SimHost>> hosts;
  std::map<std::pair<SimHost*, SimHost*>, std::unique_ptr<SimLink>> links;  // looked up, never walked
  std::set<SimConnection> closed;
  LinkModel default_link;
  PeerId next_peer = 1;
  SimCounters counters;
};

SimHost& SimNetwork::Impl::host(const std::string& name) {
  auto& host = hosts[name];
  if (!host) {
    host = std::make_unique<SimHost>();
    host->name = name;
  }
  return *host;
}

SimLink& SimNetwork::Impl::link(SimHost& from, const std::string& to) {
  SimHost& target = host(to);
  auto& link = links[{&from, &target}];
  if (!link) {
    const RandomStream random(stream_key(seed, "link " + from.name + " > " + to));
    link = std::make_unique<SimLink>(SimLink{&from, &target, random, {}, {}});
  }
  return *link;
}

void SimNetwork::Impl::transmit(SimDelivery delivery) {
  SimLink& link = *delivery.link;
  const LinkModel& model = link.model ? *link.model : default_link;
  const auto happens = [&](double probability) { return probability > 0.0 && link.random.next_unit() < probability; };
  ++counters.sent;
  if (link.is_cut(now)) {
    ++counters.cut;
    return;
  }
  if (happens(model.loss)) {
    ++counters.lost;
    return;
  }
  TimeNs departure = now;
  if (model.bytes_per_s > 0.0) {
    const auto bytes = static_cast<double>(delivery.frame.header.size() + delivery.frame.body.size());
    departure = std::max(now, link.busy_until) + static_cast<TimeNs>(bytes / model.bytes_per_s * kSecond);
    link.busy_until = departure;
  }
  TimeNs arrival = departure + model.delay.draw(link.random);
  if (happens(model.reordering)) {
    ++counters.reordered;
    arrival += model.held_up.draw(link.random);
  } else {
    arrival = std::max(arrival, link.last_arrival);
    link.last_arrival = arrival;
  }
  if (happens(model.duplication)) {
    ++counters.duplicated;
    push(arrival + model.held_up.draw(link.random), delivery);
  }
  push(arrival, std::move(delivery));
}

void SimNetwork::Impl::arrive(SimDelivery delivery) {
  SimHost& to = *delivery.link->to;
  // Once something waits, what comes later waits behind it until the release.
  if (delivery.link->is_cut(now)) {
    ++counters.cut;
  } else if (to.paused || !to.held.empty()) {
    to.held.push_back(std::move(delivery));
  } else if (!delivery.to_maker && (!to.listening || !to.unheard.empty()) && !to.dead &&
             !closed.contains(delivery.connection)) {
    to.unheard.push_back(std::move(delivery));
  } else if (to.endpoint && (delivery.to_maker || to.listening) && to.endpoint->receive(std::move(delivery))) {
    ++counters.delivered;
  } else {
    ++counters.vanished;
  }
}

void SimNetwork::Impl::release(std::vector<SimDelivery>& waiting) {
  // Emptied before the first arrives, so that none waits behind itself; what a handler sends comes later.
  for (auto& delivery : std::exchange(waiting, {})) arrive(std::move(delivery));
}

void SimNetwork::Impl::listening(SimHost& host) {
  host.listening = true;
  if (!host.unheard.empty()) push(now, [this, &host] { release(host.unheard); });
}

void SimNetwork::Impl::close(SimConnection connection, SimHost& to) {
  closed.insert(connection);
  if (!to.listening) std::erase_if(to.unheard, [&](const SimDelivery& d) { return d.connection == connection; });
}

void SimNetwork::Impl::leave(SimHost& host) {
  host.endpoint = nullptr;
  host.listening = false;
  host.dead = true;
  host.paused = false;
  counters.vanished += host.held.size() + host.unheard.size();
  host.held.clear();
  host.unheard.clear();
}

void SimNetwork::Impl::happen(Event event) {
  ++counters.events;
  if (auto* delivery = std::get_if<SimDelivery>(&event))
    arrive(std::move(*delivery));
  else
    std::get<std::function<void()>>(event)();
}

SimNetwork::SimNetwork(std::uint64_t seed) : impl_(std::make_unique<Impl>(seed)) {}
SimNetwork::~SimNetwork() = default;

TimeNs SimNetwork::now() const { return impl_->now; }
TimeNs SimNetwork::next_event() const { return impl_->queue.next_time(); }
const SimCounters& SimNetwork::counters() const { return impl_->counters; }

void SimNetwork::schedule(TimeNs at, std::function<void()> what) { impl_->push(at, std::move(what)); }

bool SimNetwork::step() {
  if (impl_->queue.empty()) return false;
  impl_->now = impl_->queue.next_time();
  impl_->happen(impl_->queue.pop());
  return true;
}

void SimNetwork::run_until(TimeNs end) {
  while (impl_->queue.next_time() <= end && step()) {
  }
  impl_->now = std::max(impl_->now, end);
}

std::unique_ptr<Endpoint> SimNetwork::endpoint(const std::string& name) {
  SimHost& host = impl_->host(name);
  RUBATO_CHECK(host.endpoint == nullptr, "host {} has an endpoint already", name);
  auto endpoint = std::make_unique<SimEndpoint>(*impl_, host);
  host.endpoint = endpoint.get();
  host.dead = false;
  return endpoint;
}

void SimNetwork::set_default_link(const LinkModel& model) { impl_->default_link = model; }

void SimNetwork::set_link(const std::string& from, const std::string& to, const LinkModel& model) {
  impl_->link(impl_->host(from), to).model = model;
}

void SimNetwork::cut(const std::string& from, const std::string& to, TimeNs begin, TimeNs end) {
  impl_->link(impl_->host(from), to).cuts.push_back({begin, end});
}

void SimNetwork::partition(std::span<const std::string> side, std::span<const std::string> other_side, TimeNs begin,
                           TimeNs end) {
  for (const auto& here : side)
    for (const auto& there : other_side) {
      cut(here, there, begin, end);
      cut(there, here, begin, end);
    }
}

void SimNetwork::pause(const std::string& host) { impl_->host(host).paused = true; }

void SimNetwork::resume(const std::string& name) {
  SimHost& host = impl_->host(name);
  host.paused = false;
  if (host.held.empty()) return;
  schedule(now(), [this, &host] {
    if (!host.paused) impl_->release(host.held);
  });
}

bool SimNetwork::paused(const std::string& host) const { return impl_->host(host).paused; }

void SimNetwork::kill(const std::string& host) { impl_->leave(impl_->host(host)); }

}  // namespace rubato::transport
