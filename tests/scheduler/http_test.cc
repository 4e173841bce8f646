#include "scheduler/http.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <ctime>
#include <nlohmann/json.hpp>
#include <thread>
#include <tuple>

namespace rubato::scheduler {
namespace {

using namespace std::string_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using testing::StartsWith;

std::uint16_t port_of(const HttpServer& server) {
  return static_cast<std::uint16_t>(std::stoul(server.url().substr(server.url().rfind(':') + 1)));
}

// A client that may say anything.
class Connection {
 public:
  // `before`: called when the socket is there, and not connected yet.
  explicit Connection(
      std::uint16_t port, const std::function<void()>& before = [] {})
      : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    before();
    const timeval patience{10, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    RUBATO_CHECK(::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
  }
  ~Connection() { ::close(socket_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void say(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;  // the server has heard enough
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
  }
  void say_no_more() { ::shutdown(socket_, SHUT_WR); }
  // All that comes until the server closes.
  [[nodiscard]] std::string hear() {
    std::string heard;
    char buffer[4096];
    for (ssize_t got = 0; (got = ::recv(socket_, buffer, sizeof(buffer), 0)) > 0;)
      heard.append(buffer, static_cast<std::size_t>(got));
    return heard;
  }

 private:
  int socket_;
};

struct Answer {
  int status = 0;
  nlohmann::json body;
};

class HttpTest : public testing::Test {
 protected:
  void SetUp() override {
    auto server = HttpServer::listen(loop_, "127.0.0.1", 0, "secret",
                                     {[] { return R"({"phase": "training"})"s; },
                                      [this](const MemberExit& exit) {
                                        if (exit.node.rank >= 2) return false;
                                        exits_.emplace_back(exit.node.name(), exit.code, exit.again, exit.pid);
                                        return true;
                                      },
                                      [this] { ++drains_; }, [this] { ++aborts_; },
                                      [this](const std::string& words, bool dry_run) { return set(words, dry_run); }});
    ASSERT_TRUE(server.ok()) << server.error().message;
    server_ = std::move(server).value();
    port_ = port_of(*server_);
    thread_ = std::thread([this] { loop_.run(); });
  }
  void TearDown() override { finish(); }

  // What handlers have noted may be looked at afterwards.
  void finish() {
    if (!thread_.joinable()) return;
    loop_.post([this] { loop_.stop(); });
    thread_.join();
  }
  std::uint64_t refused() {
    finish();
    return server_->refused();
  }

  std::string exchange(std::string_view bytes) {
    Connection connection(port_);
    connection.say(bytes);
    connection.say_no_more();
    return connection.hear();
  }
  Answer ask(const std::string& method, const std::string& target, const std::string& body = "",
             const std::string& headers = "X-Rubato-Token: secret\r\nContent-Type: application/json\r\n") {
    const std::string heard = exchange(fmt::format("{} {} HTTP/1.1\r\nHost: here\r\n{}Content-Length: {}\r\n\r\n{}",
                                                   method, target, headers, body.size(), body));
    const std::size_t blank = heard.find("\r\n\r\n");
    if (blank == std::string::npos) return {};
    return {std::stoi(heard.substr(std::string("HTTP/1.1 ").size())),
            nlohmann::json::parse(heard.substr(blank + 4), nullptr, false)};
  }
  Result<std::string> set(const std::string& words, bool dry_run) {
    sets_.emplace_back(words, dry_run);
    if (words == "mode=lsp") return Error{Cause::kUsage, "no such mode"};
    if (words == "mode=bsp") return Error{Cause::kRefused, "not now"};
    return R"({"clock": 7})"s;
  }
  void expect_still_answering() { EXPECT_EQ(ask("GET", "/status").status, 200); }

  transport::Loop loop_;
  std::unique_ptr<HttpServer> server_;
  std::uint16_t port_ = 0;
  std::thread thread_;
  std::vector<std::tuple<std::string, int, bool, std::uint32_t>> exits_;  // code, started again, pid
  std::vector<std::pair<std::string, bool>> sets_;
  int drains_ = 0, aborts_ = 0;
};

TEST_F(HttpTest, AnswersWithTheStatus) {
  const Answer answer = ask("GET", "/status");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body["phase"], "training");
  EXPECT_THAT(server_->url(), StartsWith("http://127.0.0.1:"));
}

TEST_F(HttpTest, OnlyWithTheJobsToken) {
  for (const char* token : {"", "X-Rubato-Token: \r\n", "X-Rubato-Token: Secret\r\n", "X-Rubato-Token: secrets\r\n",
                            "Authorization: secret\r\n"}) {
    for (const char* target : {"/status", "/nothing"}) EXPECT_EQ(ask("GET", target, "", token).status, 403) << token;
    for (const char* target : {"/drain", "/abort"}) EXPECT_EQ(ask("POST", target, "", token).status, 403);
    EXPECT_EQ(ask("POST", "/exited", R"({"node": "worker-1", "exit_code": 1})", token).status, 403);
  }
  EXPECT_EQ(ask("GET", "/status", "", "x-rubato-TOKEN: secret\r\n").status, 200);
  finish();
  EXPECT_EQ(drains_ + aborts_, 0);
  EXPECT_THAT(exits_, IsEmpty());
}

TEST_F(HttpTest, WhatIsNotThereIsNotFound) {
  for (const char* target : {"/", "/stat", "/status/", "/status?x=1", "/../status", "*"}) {
    const Answer answer = ask("GET", target);
    EXPECT_EQ(answer.status, 404) << target;
    EXPECT_THAT(answer.body["error"].get<std::string>(), HasSubstr("/status"));
  }
  EXPECT_EQ(ask("POST", "/status").status, 404);
  EXPECT_EQ(ask("GET", "/drain").status, 404);
  EXPECT_EQ(ask("GET", "/abort").status, 404);
  EXPECT_EQ(ask("PUT", "/exited").status, 404);
  finish();
  EXPECT_EQ(drains_ + aborts_, 0);
}

TEST_F(HttpTest, TellsTheSchedulerOfEndsAndDrains) {
  EXPECT_EQ(ask("POST", "/exited", R"({"node": "worker-1", "exit_code": -9})").status, 200);
  EXPECT_EQ(ask("POST", "/exited", R"({"exit_code": 0, "node": "evaluator-0", "more": [1]})").status, 200);
  EXPECT_EQ(ask("POST", "/exited", R"({"node": "server-1", "pid": 17, "exit_code": -9, "again": true})").status, 200);
  EXPECT_EQ(ask("POST", "/exited", R"({"node": "worker-99", "exit_code": -9})").status, 404) << "no such member";
  EXPECT_EQ(ask("POST", "/drain").status, 200);
  EXPECT_EQ(ask("POST", "/abort").status, 200);
  finish();
  EXPECT_THAT(exits_, ElementsAre(std::tuple("worker-1", -9, false, 0u), std::tuple("evaluator-0", 0, false, 0u),
                                  std::tuple("server-1", -9, true, 17u)));
  EXPECT_EQ(drains_, 1);
  EXPECT_EQ(aborts_, 1);
}

TEST_F(HttpTest, SetsOtherRules) {
  const Answer done = ask("POST", "/set", R"({"set": "mode=ssp:8 rate=0.01"})");
  EXPECT_EQ(done.status, 200);
  EXPECT_EQ(done.body["clock"], 7);
  EXPECT_EQ(ask("POST", "/set", R"({"set": "rate=0.1", "dry_run": true})").status, 200);
  const Answer unknown = ask("POST", "/set", R"({"set": "mode=lsp"})");
  EXPECT_EQ(unknown.status, 400);
  EXPECT_EQ(unknown.body, nlohmann::json({{"error", "no such mode"}, {"exit_code", 2}}));
  const Answer refused = ask("POST", "/set", R"({"set": "mode=bsp"})");
  EXPECT_EQ(refused.status, 409);
  EXPECT_EQ(refused.body, nlohmann::json({{"error", "not now"}, {"exit_code", 9}}));
  for (const char* body : {"", "[]", "{}", R"({"set": 1})", R"({"dry_run": true})"})
    EXPECT_EQ(ask("POST", "/set", body).status, 400) << body;
  finish();
  EXPECT_THAT(sets_, ElementsAre(Pair("mode=ssp:8 rate=0.01", false), Pair("rate=0.1", true), Pair("mode=lsp", false),
                                 Pair("mode=bsp", false)));
}

// What a form of a page in a browser may post without asking first.
TEST_F(HttpTest, TakesNoFormOfAPage) {
  const std::string token = "X-Rubato-Token: secret\r\n";
  for (const char* type : {"", "Content-Type: text/plain\r\n", "Content-Type: application/x-www-form-urlencoded\r\n",
                           "Content-Type: multipart/form-data; boundary=x\r\n"})
    for (const char* target : {"/set", "/drain", "/abort", "/exited"})
      EXPECT_EQ(ask("POST", target, R"({"set": "rate=1", "node": "worker-1", "exit_code": 1})", token + type).status,
                415)
          << target << ", " << type;
  finish();
  EXPECT_EQ(drains_ + aborts_, 0);
  EXPECT_THAT(exits_, IsEmpty());
  EXPECT_THAT(sets_, IsEmpty());
}

TEST_F(HttpTest, AnEndThatSaysNothingIsABadRequest) {
  const std::string nested(60'000, '[');
  for (const std::string& body :
       {""s, "{"s, "[]"s, "null"s, "\"worker-1\""s, nested, "{\"node\": \"worker-\xff\", \"exit_code\": 1}"s,
        R"({"node": "worker-1"})"s, R"({"exit_code": 1})"s, R"({"node": 1, "exit_code": 1})"s,
        R"({"node": "worker-1", "exit_code": "1"})"s, R"({"node": "worker-1", "exit_code": 1.5})"s,
        R"({"node": "scheduler", "exit_code": 1})"s, R"({"node": "worker-x", "exit_code": 1})"s,
        R"({"node": "worker-1", "exit_code": 1, "pid": "17"})"s, R"({"node": "worker-1", "exit_code": 1, "pid": -1})"s,
        R"({"node": "worker-1", "exit_code": 1, "pid": 4294967296})"s})
    EXPECT_EQ(ask("POST", "/exited", body).status, 400) << body.substr(0, 100);
  finish();
  EXPECT_THAT(exits_, IsEmpty());
}

// ---- foreign bytes ----------------------------------------------------------------------------------

TEST_F(HttpTest, ForeignBytesAreCountedAndHarmless) {
  const std::vector<std::string> foreign{
      std::string(10'000, '\0'),
      "\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03\x00NULL"s,  // a greeting of ZeroMQ's
      "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"s,          // of TLS
      "SSH-2.0-OpenSSH_9.2\r\n",
      "GET /status\r\n\r\n",
      "GET /status HTTP/9.9\r\n\r\n",
      "GET /status HTTP/1.1\r\nHost",  // cut off
      "POST /exited HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
      "POST /exited HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
      "POST /exited HTTP/1.1\r\nContent-Length: 10\r\n\r\n{\"no",  // cut off
      "POST /exited HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"};
  for (const std::string& bytes : foreign) {
    EXPECT_EQ(exchange(bytes), "") << bytes;
    expect_still_answering();
  }
  EXPECT_EQ(refused(), foreign.size());
}

TEST_F(HttpTest, MoreThan64KiBIsCutOff) {
  const std::string much(100'000, 'x');
  const std::string token = "X-Rubato-Token: secret\r\n";
  const std::vector<std::string> oversized{
      "GET /" + much + " HTTP/1.1\r\n" + token + "\r\n",
      "GET /status HTTP/1.1\r\n" + token + "Much: " + much + "\r\n\r\n",
      "POST /exited HTTP/1.1\r\n" + token + fmt::format("Content-Length: {}\r\n\r\n{}", much.size(), much),
      "POST /exited HTTP/1.1\r\n" + token + "Transfer-Encoding: chunked\r\n\r\n186a0\r\n" + much + "\r\n0\r\n\r\n"};
  for (const std::string& bytes : oversized) {
    EXPECT_EQ(exchange(bytes), "");
    expect_still_answering();
  }
  EXPECT_EQ(refused(), oversized.size());
}

TEST_F(HttpTest, WhoComesAndGoesIsNoStranger) {
  for (int i = 0; i < 20; ++i) const Connection silent(port_);
  expect_still_answering();
  EXPECT_EQ(refused(), 0u);
}

TEST_F(HttpTest, WhoSaysNothingHoldsNobodyUp) {
  std::vector<std::unique_ptr<Connection>> silent;
  for (int i = 0; i < 50; ++i) {
    silent.push_back(std::make_unique<Connection>(port_));
    silent.back()->say("GET /sta");
  }
  for (int i = 0; i < 5; ++i) expect_still_answering();
}

TEST_F(HttpTest, ItsEndClosesThePort) {
  expect_still_answering();
  finish();
  const std::uint16_t port = port_;
  server_.reset();
  const auto again = HttpServer::listen(loop_, "127.0.0.1", port, "", {});
  EXPECT_TRUE(again.ok()) << again.error().message;
}

// ---- where it listens -------------------------------------------------------------------------------

TEST(HttpListening, APortInUseIsNamedWithTheKeyThatChangesIt) {
  transport::Loop loop;
  const auto first = HttpServer::listen(loop, "127.0.0.1", 0, "", {});
  ASSERT_TRUE(first.ok());
  const std::uint16_t port = port_of(**first);
  const auto second = HttpServer::listen(loop, "127.0.0.1", port, "", {});
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().cause, Cause::kNetwork);
  EXPECT_THAT(second.error().message, HasSubstr(fmt::format("127.0.0.1:{}", port)));
  EXPECT_THAT(second.error().message, HasSubstr("cluster.http_port"));
}

TEST(HttpListening, WhatIsNoAddressIsSaid) {
  transport::Loop loop;
  for (const char* address : {"", "nowhere", "127.0.0.1.1", "999.0.0.1"}) {
    const auto server = HttpServer::listen(loop, address, 0, "", {});
    ASSERT_FALSE(server.ok()) << address;
    EXPECT_EQ(server.error().cause, Cause::kNetwork);
    EXPECT_THAT(server.error().message, HasSubstr(fmt::format("\"{}\"", address)));
  }
}

TEST(HttpListening, TheUrlOfAnIPv6AddressHasBrackets) {
  transport::Loop loop;
  const auto server = HttpServer::listen(loop, "::1", 0, "", {});
  if (!server.ok()) GTEST_SKIP() << server.error().message;
  EXPECT_THAT((*server)->url(), StartsWith("http://[::1]:"));
}

TEST(ParseNode, NamesOfMembersAlone) {
  for (const NodeId node : {server_node(0), worker_node(17), evaluator_node(3), worker_node(999'999'999)}) {
    const Result<NodeId> parsed = parse_node(node.name());
    ASSERT_TRUE(parsed.ok()) << node.name();
    EXPECT_EQ(*parsed, node);
  }
  for (const char* name : {"", "worker", "worker-", "worker-x", "worker--1", "worker-1 ", "worker-0x1", "Worker-1",
                           "scheduler", "scheduler-0", "worker-1000000000", "worker-99999999999999999999"}) {
    const Result<NodeId> parsed = parse_node(name);
    ASSERT_FALSE(parsed.ok()) << name;
    EXPECT_EQ(parsed.error().cause, Cause::kUsage);
    EXPECT_THAT(parsed.error().message, HasSubstr(fmt::format("\"{}\"", name)));
  }
}

// Nobody can be let in, so the queue of connections stays readable: that is no reason to spin.
TEST_F(HttpTest, WithoutDescriptorsItWaitsForThem) {
  rlimit usual{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &usual), 0);
  const rlimit none{3, usual.rlim_max};
  Connection late(port_, [&] { ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0); });
  const std::clock_t before = std::clock();
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  const double busy_s = static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &usual), 0);
  EXPECT_LT(busy_s, 0.03) << "of processor time";
  late.say("GET /status HTTP/1.1\r\nX-Rubato-Token: secret\r\n\r\n");
  EXPECT_THAT(late.hear(), HasSubstr("200 OK"));
}

}  // namespace
}  // namespace rubato::scheduler
