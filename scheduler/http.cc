#include "scheduler/http.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>

#include "scheduler/json_text.h"

namespace rubato::scheduler {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using Tcp = asio::ip::tcp;
using Request = http::request<http::string_body>;
using Response = http::response<http::string_body>;

constexpr std::size_t kRequestBytesMax = 64 << 10;
constexpr auto kRequestTimeout = std::chrono::seconds(5);
constexpr auto kAcceptRetry = std::chrono::milliseconds(100);

Response answer(const Request& request, http::status status, const std::string& body) {
  Response response(status, request.version());
  response.set(http::field::content_type, "application/json");
  response.keep_alive(false);
  response.body() = body + "\n";
  response.prepare_payload();
  return response;
}

std::string error_json(const std::string& text) { return json_text(nlohmann::json{{"error", text}}); }

bool is_pid(const nlohmann::json& value) {
  return value.is_number_unsigned() && value.get<std::uint64_t>() <= std::numeric_limits<std::uint32_t>::max();
}

}  // namespace

Result<NodeId> parse_node(const std::string& name) {
  for (Role role : {Role::kServer, Role::kWorker, Role::kEvaluator}) {
    const std::string prefix = std::string(role_name(role)) + "-";
    if (name.rfind(prefix, 0) != 0) continue;
    const std::string digits = name.substr(prefix.size());
    if (digits.empty() || digits.size() > 9 || digits.find_first_not_of("0123456789") != std::string::npos) break;
    return NodeId{role, static_cast<std::uint32_t>(std::stoul(digits))};
  }
  return Error{Cause::kUsage, fmt::format("\"{}\" is no member: expected server-N, worker-N or evaluator-N", name)};
}

class HttpServer::Impl : public std::enable_shared_from_this<HttpServer::Impl> {
 public:
  Impl(asio::io_context& context, std::string token, HttpHandlers handlers)
      : acceptor_(context), retry_(context), token_(std::move(token)), handlers_(std::move(handlers)) {}

  Status listen(const std::string& address, std::uint16_t port) {
    beast::error_code error;
    const auto ip = asio::ip::make_address(address, error);
    if (error) return Error{Cause::kNetwork, fmt::format("\"{}\" is no IP address to listen on", address)};
    const Tcp::endpoint endpoint(ip, port);
    acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(asio::socket_base::reuse_address(true), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (error)
      return Error{Cause::kNetwork, fmt::format("cannot listen for HTTP on {}:{}: {}; set cluster.http_port to another "
                                                "port, or to 0",
                                                address, port, error.message())};
    accept();
    return {};
  }
  void close() {
    closed_ = true;
    beast::error_code ignored;
    acceptor_.close(ignored);
    retry_.cancel();
  }

  std::string url() const {
    std::ostringstream text;
    text << "http://" << acceptor_.local_endpoint();  // which puts brackets around an IPv6 address
    return text.str();
  }
  std::uint64_t refused() const { return refused_; }

 private:
  // One connection: one request, one answer.
  struct Session : std::enable_shared_from_this<Session> {
    Session(Tcp::socket socket, std::shared_ptr<Impl> owner) : stream(std::move(socket)), server(std::move(owner)) {
      parser.body_limit(kRequestBytesMax);
      parser.header_limit(kRequestBytesMax);
    }
    void start() {
      stream.expires_after(kRequestTimeout);
      http::async_read(stream, buffer, parser, [self = shared_from_this()](beast::error_code error, std::size_t) {
        if (error) {
          if (error != http::error::end_of_stream) ++self->server->refused_;
          return;
        }
        self->response = self->server->handle(self->parser.get());
        http::async_write(self->stream, self->response, [self](beast::error_code, std::size_t) {
          beast::error_code ignored;
          self->stream.socket().shutdown(Tcp::socket::shutdown_send, ignored);
        });
      });
    }
    beast::tcp_stream stream;
    std::shared_ptr<Impl> server;
    beast::flat_buffer buffer{kRequestBytesMax};
    http::request_parser<http::string_body> parser;
    Response response;
  };

  void accept() {
    acceptor_.async_accept([self = shared_from_this()](beast::error_code error, Tcp::socket socket) {
      if (self->closed_) return;
      if (error) return self->accept_later();
      std::make_shared<Session>(std::move(socket), self)->start();
      self->accept();
    });
  }
  // Out of descriptors, mostly: whoever wants in stays in the queue, and would be turned away again at once.
  void accept_later() {
    retry_.expires_after(kAcceptRetry);
    retry_.async_wait([self = shared_from_this()](beast::error_code) {
      if (!self->closed_) self->accept();
    });
  }

  Response handle(const Request& request) {
    if (request["X-Rubato-Token"] != token_)
      return answer(request, http::status::forbidden, error_json("the header X-Rubato-Token is not this job's"));
    if (request.target() == "/status" && request.method() == http::verb::get)
      return answer(request, http::status::ok, handlers_.status());
    if (request.method() == http::verb::post) return posted(request);
    return unknown(request);
  }

  Response posted(const Request& request) {
    if (!request[http::field::content_type].starts_with("application/json"))
      return answer(request, http::status::unsupported_media_type,
                    error_json("expected Content-Type: application/json"));
    if (request.target() == "/exited") return exited(request);
    if (request.target() == "/set") return set(request);
    if (request.target() != "/drain" && request.target() != "/abort") return unknown(request);
    request.target() == "/drain" ? handlers_.drain() : handlers_.abort();
    return answer(request, http::status::ok, "{}");
  }

  static Response unknown(const Request& request) {
    return answer(request, http::status::not_found,
                  error_json("known: GET /status, POST /exited, POST /drain, POST /abort, POST /set"));
  }

  Response exited(const Request& request) {
    const auto body = nlohmann::json::parse(request.body(), nullptr, false);
    if (!body.is_object() || !body.contains("node") || !body["node"].is_string() || !body.contains("exit_code") ||
        !body["exit_code"].is_number_integer() || (body.contains("pid") && !is_pid(body["pid"])))
      return answer(request, http::status::bad_request,
                    error_json(R"(expected {"node": "worker-1", "exit_code": -9})"));
    const Result<NodeId> node = parse_node(body["node"]);
    if (!node.ok()) return answer(request, http::status::bad_request, error_json(node.error().message));
    MemberExit exit{*node, body["exit_code"]};
    exit.again = body.contains("again") && body["again"] == true;
    if (body.contains("pid")) exit.pid = body["pid"];
    if (!handlers_.exited(exit))
      return answer(request, http::status::not_found, error_json(node->name() + " is no member of this job"));
    return answer(request, http::status::ok, "{}");
  }

  Response set(const Request& request) {
    const auto body = nlohmann::json::parse(request.body(), nullptr, false);
    const bool dry_run = body.is_object() && body.contains("dry_run") && body["dry_run"] == true;
    if (!body.is_object() || !body.contains("set") || !body["set"].is_string())
      return answer(request, http::status::bad_request, error_json(R"(expected {"set": "mode=ssp:8 rate=0.01"})"));
    const Result<std::string> done = handlers_.set(body["set"], dry_run);
    if (done.ok()) return answer(request, http::status::ok, *done);
    const Error& error = done.error();
    return answer(request, error.cause == Cause::kUsage ? http::status::bad_request : http::status::conflict,
                  json_text(nlohmann::json{{"error", error.message}, {"exit_code", error.exit_code()}}));
  }

  Tcp::acceptor acceptor_;
  asio::steady_timer retry_;
  const std::string token_;
  HttpHandlers handlers_;
  std::uint64_t refused_ = 0;
  bool closed_ = false;
};

Result<std::unique_ptr<HttpServer>> HttpServer::listen(transport::Loop& loop, const std::string& address,
                                                       std::uint16_t port, std::string token, HttpHandlers handlers) {
  auto impl = std::make_shared<Impl>(loop.io_context(), std::move(token), std::move(handlers));
  RUBATO_TRY(impl->listen(address, port));
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

HttpServer::~HttpServer() { impl_->close(); }
std::string HttpServer::url() const { return impl_->url(); }
std::uint64_t HttpServer::refused() const { return impl_->refused(); }

}  // namespace rubato::scheduler
