#include "http/server.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <exception>
#include <optional>
#include <set>
#include <utility>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>

#include "base/log.h"
#include "http/body_buffer.h"
#include "http/codec.h"
#include "http/dispatch.h"
#include "http/transport.h"
#include "http/unix_listener.h"

namespace berth::http {
namespace {

namespace asio = boost::asio;
using asio::awaitable;
using asio::redirect_error;
using asio::use_awaitable;
using ErrorCodeOfAsio = boost::system::error_code;

constexpr std::size_t kReadPiece = std::size_t{16} * 1024;
// After an answer that does not wait for the rest of the request, so much of the rest is read and dropped,
// for so long: closing at once would throw away the answer (RFC 9112 9.6).
constexpr std::size_t kMaxLingerBytes = std::size_t{16} * 1024 * 1024;
constexpr std::chrono::seconds kLingerTime{2};
constexpr std::chrono::seconds kGoodbyeTime{2};
constexpr std::chrono::milliseconds kAcceptPause{100};  // After the kernel had no descriptor left.

/// What the loop and the worker know of one request. The worker owns `request` and `response` until
/// `answered`.
struct Exchange {
  Exchange(std::size_t buffer_bytes, std::function<void()> wake)
      : body(buffer_bytes, stop.get_token(), std::move(wake)) {}
  std::stop_source stop;
  ServerRequest request;
  ServerResponse response;
  BodyBuffer body;
  bool answered = false;  // Loop thread only.
  Match match;
  bool keep_alive = false;
  bool http10 = false;
  std::chrono::steady_clock::time_point started = std::chrono::steady_clock::now();
};

std::string httpDate() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  std::array<char, 64> text{};
  const std::size_t size = std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  return std::string(text.data(), size);
}

bool hasBody(const Exchange& exchange) { return exchange.request.method != "HEAD"; }

/// The head of the exchange's response.
std::string headOf(const Exchange& exchange) {
  const ServerResponse& response = exchange.response;
  Headers headers{{"date", httpDate()},
                  {"x-ms-request-id", exchange.request.id},
                  {"x-ms-correlation-request-id", exchange.request.correlation_id}};
  if (response.status != 204) headers.emplace_back("content-type", response.content_type);
  headers.insert(headers.end(), response.headers.begin(), response.headers.end());
  if (!response.stream) {
    headers.emplace_back("content-length", std::to_string(response.body.size()));
  } else if (!exchange.http10) {
    headers.emplace_back("transfer-encoding", "chunked");
  }
  if (!exchange.keep_alive) {
    headers.emplace_back("connection", "close");
  } else if (exchange.http10) {
    headers.emplace_back("connection", "keep-alive");
  }
  return responseHead(response.status, headers);
}

/// One line for each request: those from the network always, those of the unix socket for developers.
void logAccess(const Exchange& exchange, const Peer& peer) {
  const auto took = std::chrono::steady_clock::now() - exchange.started;
  const ServerRequest& request = exchange.request;
  log(peer.credentials ? LogLevel::Debug : LogLevel::Info, "request",
      {{"method", request.method},
       {"path", request.path},
       {"status", std::to_string(exchange.response.status)},
       {"principal", request.principal.name},
       {"peer", peer.address},
       {"ms", std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(took).count())},
       {"id", request.id},
       {"correlation", request.correlation_id}});
}

/// A listening socket and how its connections begin.
struct Acceptor {
  Acceptor(asio::io_context& io, int fd) : socket(io, fd) {}
  asio::posix::stream_descriptor socket;
  int family = AF_UNIX;
  std::shared_ptr<TlsContext> tls;
};

}  // namespace

/// The event loop and what lives on it. Only the loop's thread touches it, except for `io`'s post.
class Server::Core {
 public:
  Core(Router routes, const ServerCollaborators& used, const ServerLimits& limited)
      : router(std::move(routes)), collaborators(used), limits(limited), drain_deadline(io) {}
  ~Core() { ending = true; }
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  Result<void> listen(const UnixListenEndpoint& endpoint);
  Result<void> listen(const TcpListenEndpoint& endpoint);
  void drain(std::chrono::milliseconds grace);
  void remove(Session* session);

  std::set<Session*> sessions;
  const Router router;
  const ServerCollaborators collaborators;
  const ServerLimits limits;
  bool draining = false;
  bool ending = false;  // The sessions that go now go because the loop does.
  std::size_t network_sessions = 0;
  std::vector<UnixListener> listeners;
  std::vector<TcpAddress> tcp_addresses;
  // Destroyed before what is above, because the coroutines that end with it use that.
  asio::io_context io{1};
  std::vector<std::shared_ptr<Acceptor>> acceptors;
  asio::steady_timer drain_deadline;
  std::weak_ptr<Core> self;

 private:
  void accept(std::shared_ptr<Acceptor> acceptor);
  awaitable<void> acceptLoop(std::shared_ptr<Acceptor> acceptor);
  void admit(os::UniqueFd client, const Acceptor& acceptor);
  bool isFullFor(const Acceptor& acceptor) const;
};

/// One connection: reads a request, has it answered, writes the answer, and again.
class Server::Session : public std::enable_shared_from_this<Session> {
 public:
  Session(Core& core, os::UniqueFd client, const Acceptor& acceptor, Peer peer)
      : core_(core),
        transport_(core.io, std::move(client), acceptor.family, acceptor.tls),
        deadline_(core.io),
        news_(core.io),
        peer_(std::move(peer)) {
    core_.sessions.insert(this);
    if (fromNetwork()) ++core_.network_sessions;
  }
  ~Session() { core_.remove(this); }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  awaitable<void> run();
  bool fromNetwork() const { return !peer_.credentials; }
  /// The server drains: end at once when idle, else after the request at work.
  void wind() {
    if (idle_) close();
    if (current_) current_->stop.request_stop();
  }

 private:
  awaitable<bool> begin();
  awaitable<bool> serveOne();
  awaitable<RequestParser::State> advance(RequestParser& parser);
  awaitable<bool> readBody(RequestParser& parser, Exchange& exchange);
  awaitable<void> answer(std::shared_ptr<Exchange> exchange);
  awaitable<bool> respond(Exchange& exchange);
  awaitable<bool> sendStream(Exchange& exchange);
  awaitable<bool> refuse(Exchange& exchange, const ProtocolError& error);
  awaitable<void> linger();
  awaitable<bool> readSome();
  awaitable<bool> writeAll(std::string_view bytes);
  awaitable<void> waitForNews();

  std::shared_ptr<Exchange> newExchange();
  void fillIn(Exchange& exchange, const RequestHead& head) const;
  bool hand(const std::shared_ptr<Exchange>& exchange);
  std::function<void()> wakeUp();
  void watchForDisconnect();
  void onReadable();
  void giveUp(ErrorCode code, const char* why);
  void arm(std::chrono::milliseconds time);
  void disarm() {
    ++deadline_number_;
    deadline_.cancel();
  }
  void close() { transport_.close(); }

  Core& core_;
  Transport transport_;
  asio::steady_timer deadline_;
  std::uint64_t deadline_number_ = 0;  // Tells a deadline that has fired from one that was moved since.
  asio::steady_timer news_;
  bool has_news_ = false;
  const Peer peer_;
  std::string in_;
  bool idle_ = false;  // Between requests, or before the first or after the last.
  std::shared_ptr<Exchange> current_;
};

// ---------------------------------------------------------------------------------------------- one request

awaitable<void> Server::Session::run() {
  bool again = co_await begin();
  while (again && !core_.draining) again = co_await serveOne();
  idle_ = true;
  arm(kGoodbyeTime);
  co_await transport_.sayGoodbye();
  disarm();
}

awaitable<bool> Server::Session::begin() {
  idle_ = true;
  arm(core_.limits.handshake_timeout);
  const bool agreed = co_await transport_.handshake();
  if (!agreed) {
    log(LogLevel::Debug, "no TLS with a client", {{"peer", peer_.address}});
    close();
  }
  co_return agreed;
}

awaitable<bool> Server::Session::serveOne() {
  if (in_.empty()) {
    idle_ = true;
    arm(core_.limits.idle_timeout);
    const bool got = co_await readSome();
    idle_ = false;
    if (!got) co_return false;
  }
  arm(core_.limits.read_timeout);
  auto exchange = newExchange();
  RequestParser parser(core_.limits.header_bytes);
  const RequestParser::State state = co_await advance(parser);
  if (state == RequestParser::State::Failed) co_return co_await refuse(*exchange, parser.error());
  if (state == RequestParser::State::NeedMore) co_return false;
  fillIn(*exchange, parser.head());
  const bool read = co_await readBody(parser, *exchange);
  if (!read) co_return false;
  disarm();
  co_await answer(exchange);
  const bool sent = co_await respond(*exchange);
  logAccess(*exchange, peer_);
  current_.reset();
  co_return sent && exchange->keep_alive;
}

/// Until the head or all of the request is there; NeedMore: the connection ended first.
awaitable<RequestParser::State> Server::Session::advance(RequestParser& parser) {
  RequestParser::State state = parser.feed(in_);
  while (state == RequestParser::State::NeedMore) {
    const bool got = co_await readSome();
    if (!got) break;
    state = parser.feed(in_);
  }
  co_return state;
}

/// False: the connection ended or the request was refused, and the answer is sent.
awaitable<bool> Server::Session::readBody(RequestParser& parser, Exchange& exchange) {
  const Route* route = exchange.match.route;
  if (!parser.limitBody(route != nullptr ? route->max_body_bytes : kMaxBodyBytes)) {
    co_return co_await refuse(exchange, parser.error());
  }
  if (parser.head().expects_continue && in_.empty()) {
    const bool sent = co_await writeAll("HTTP/1.1 100 Continue\r\n\r\n");
    if (!sent) co_return false;
    arm(core_.limits.read_timeout);
  }
  const RequestParser::State state = co_await advance(parser);
  if (state == RequestParser::State::Failed) co_return co_await refuse(exchange, parser.error());
  if (state != RequestParser::State::Done) co_return false;
  exchange.request.body = parser.takeBody();
  co_return true;
}

std::shared_ptr<Exchange> Server::Session::newExchange() {
  auto exchange = std::make_shared<Exchange>(core_.limits.stream_buffer_bytes, wakeUp());
  exchange->request.id = newRequestId();
  exchange->request.correlation_id = exchange->request.id;
  exchange->request.stop = exchange->stop.get_token();
  return exchange;
}

void Server::Session::fillIn(Exchange& exchange, const RequestHead& head) const {
  ServerRequest& request = exchange.request;
  request.method = head.method;
  request.headers = head.headers;
  request.correlation_id = correlationId(head.headers, request.id);
  exchange.keep_alive = head.keep_alive && !core_.draining;
  exchange.http10 = head.http10;
  Result<Target> target = parseTarget(head.target);
  if (!target) {
    exchange.response = errorResponse(target.error());
    exchange.answered = true;
    return;
  }
  request.path = target->path;
  exchange.match = core_.router.match(head.method, *target);
  request.params = std::move(exchange.match.params);
  request.query = std::move(target->query);
  if (exchange.match.route != nullptr) return;
  exchange.response = unroutedResponse(exchange.match, request);
  exchange.answered = true;
}

/// Gives the request to a worker; false when none is free.
bool Server::Session::hand(const std::shared_ptr<Exchange>& exchange) {
  const ServerCollaborators& used = core_.collaborators;
  WorkerPool& pool = exchange->match.route->duration == Duration::Long ? used.long_pool : used.short_pool;
  // `core` keeps the route and the loop alive, even when the server is gone before the handler ends.
  return pool.submit([core = core_.self.lock(), exchange, peer = peer_, weak = weak_from_this()] {
    exchange->response =
        dispatch(*exchange->match.route, core->collaborators.authenticator, peer, exchange->request);
    const BodyStream stream = hasBody(*exchange) ? exchange->response.stream : BodyStream();
    asio::post(core->io, [weak, exchange] {
      exchange->answered = true;
      if (const auto session = weak.lock()) session->wakeUp()();
    });
    if (stream) runStream(exchange->request, stream, exchange->body);
    exchange->body.finish();
  });
}

/// Returns when the response, or the head of a stream's, is known.
awaitable<void> Server::Session::answer(std::shared_ptr<Exchange> exchange) {
  current_ = exchange;
  if (core_.draining) exchange->stop.request_stop();
  if (!exchange->answered && !hand(exchange)) {
    exchange->response = errorResponse(
        Error{ErrorCode::Unavailable, "too many requests are at work; try again later", {}, {}});
    exchange->answered = true;
  }
  watchForDisconnect();
  while (!exchange->answered) co_await waitForNews();
}

awaitable<bool> Server::Session::respond(Exchange& exchange) {
  if (core_.draining || (exchange.response.stream && exchange.http10)) exchange.keep_alive = false;
  const bool streams = static_cast<bool>(exchange.response.stream);
  std::string first = headOf(exchange);
  if (!streams && hasBody(exchange)) first.append(exchange.response.body);
  bool sent = co_await writeAll(first);
  if (sent && streams && hasBody(exchange)) sent = co_await sendStream(exchange);
  if (!sent) giveUp(ErrorCode::Unavailable, "the client is gone");
  ErrorCodeOfAsio ignored;
  ignored = transport_.socket().cancel(ignored);  // Ends the watch for a disconnect.
  co_return sent;
}

awaitable<bool> Server::Session::sendStream(Exchange& exchange) {
  while (!exchange.body.wasCut()) {
    const bool finished = exchange.body.finished();
    const std::string bytes = exchange.body.take();
    if (bytes.empty() && finished) {
      if (exchange.http10) co_return true;
      co_return co_await writeAll(kLastChunk);
    }
    if (bytes.empty()) {
      co_await waitForNews();
      continue;
    }
    const std::string framed = exchange.http10 ? bytes : chunk(bytes);
    const bool sent = co_await writeAll(framed);
    if (!sent) co_return false;
  }
  co_return false;
}

/// Answers a request that cannot be read on; always false, because the connection is over.
awaitable<bool> Server::Session::refuse(Exchange& exchange, const ProtocolError& error) {
  exchange.keep_alive = false;
  exchange.response = errorResponse(error.status, Error{ErrorCode::InvalidArgument, error.message, {}, {}});
  const bool sent = co_await respond(exchange);
  logAccess(exchange, peer_);
  if (sent) co_await linger();
  co_return false;
}

awaitable<void> Server::Session::linger() {
  transport_.shutdownSending();
  arm(kLingerTime);
  std::size_t dropped = 0;
  bool more = true;
  while (more && dropped < kMaxLingerBytes) {
    dropped += in_.size();
    in_.clear();
    more = co_await readSome();
  }
}

// --------------------------------------------------------------------------------------- bytes and deadlines

awaitable<bool> Server::Session::readSome() {
  const std::size_t had = in_.size();
  in_.resize(had + kReadPiece);
  const std::size_t got = co_await transport_.readSome(asio::buffer(in_.data() + had, kReadPiece));
  in_.resize(had + got);
  co_return got > 0;
}

/// Each piece the client takes renews the deadline.
awaitable<bool> Server::Session::writeAll(std::string_view bytes) {
  while (!bytes.empty()) {
    arm(core_.limits.stall_timeout);
    const std::size_t sent = co_await transport_.writeSome(asio::buffer(bytes.data(), bytes.size()));
    if (sent == 0) co_return false;
    bytes.remove_prefix(sent);
  }
  disarm();
  co_return true;
}

void Server::Session::arm(std::chrono::milliseconds time) {
  const std::uint64_t number = ++deadline_number_;
  deadline_.expires_after(time);
  deadline_.async_wait([weak = weak_from_this(), number](const ErrorCodeOfAsio& error) {
    const auto session = weak.lock();
    if (error || !session || session->deadline_number_ != number) return;
    session->giveUp(ErrorCode::Timeout, "the client did not read for too long");
    session->close();
  });
}

/// Callable on every thread as long as the loop lives.
std::function<void()> Server::Session::wakeUp() {
  return [weak = weak_from_this(), core = core_.self] {
    const auto alive = core.lock();
    if (!alive) return;
    asio::post(alive->io, [weak] {
      const auto session = weak.lock();
      if (!session) return;
      session->has_news_ = true;
      session->news_.cancel();
    });
  };
}

awaitable<void> Server::Session::waitForNews() {
  while (!has_news_) {
    ErrorCodeOfAsio ignored;
    news_.expires_at(asio::steady_timer::time_point::max());
    co_await news_.async_wait(redirect_error(use_awaitable, ignored));
  }
  has_news_ = false;
}

/// Nothing more can be sent for the request at work; its handler is told.
void Server::Session::giveUp(ErrorCode code, const char* why) {
  if (!current_) return;
  current_->stop.request_stop();
  current_->body.cut(Error{code, why, {}, {}});
  has_news_ = true;
  news_.cancel();
}

void Server::Session::watchForDisconnect() {
  transport_.socket().async_wait(Transport::Socket::wait_read,
                                 [weak = weak_from_this()](const ErrorCodeOfAsio& error) {
                                   const auto session = weak.lock();
                                   if (!error && session) session->onReadable();
                                 });
}

/// The next request (leave it there) or the end of the connection. A client that only shut its sending side
/// down still gets its answer, but no stream.
void Server::Session::onReadable() {
  if (!transport_.ended()) {
    // Without bytes the loop was told of some that are read already.
    if (!transport_.hasBytes()) watchForDisconnect();
    return;
  }
  giveUp(ErrorCode::Unavailable, "the client is gone");
}

// ------------------------------------------------------------------------------------------------- the loop

Result<void> Server::Core::listen(const UnixListenEndpoint& endpoint) {
  TRY(UnixListener listener, listenUnix(endpoint.path, endpoint.group));
  const int copy = ::fcntl(listener.fd(), F_DUPFD_CLOEXEC, 0);
  if (copy < 0) return fail(errnoError(errno, "fcntl", endpoint.path));
  listeners.push_back(std::move(listener));
  accept(std::make_shared<Acceptor>(io, copy));
  return {};
}

Result<void> Server::Core::listen(const TcpListenEndpoint& endpoint) {
  TRY(std::shared_ptr<TlsContext> tls, TlsContext::make(endpoint.certificate_pem, endpoint.key_pem));
  TRY(TcpListener listener, listenTcp(endpoint.address));
  tcp_addresses.push_back(listener.address);
  auto acceptor = std::make_shared<Acceptor>(io, listener.socket.release());
  acceptor->family = listener.family;
  acceptor->tls = std::move(tls);
  accept(std::move(acceptor));
  return {};
}

void Server::Core::accept(std::shared_ptr<Acceptor> acceptor) {
  acceptors.push_back(acceptor);
  asio::co_spawn(io, acceptLoop(std::move(acceptor)), [](const std::exception_ptr& thrown) {
    if (thrown) log(LogLevel::Error, "the accept loop failed");
  });
}

awaitable<void> Server::Core::acceptLoop(std::shared_ptr<Acceptor> acceptor) {
  while (!draining) {
    ErrorCodeOfAsio error;
    co_await acceptor->socket.async_wait(asio::posix::stream_descriptor::wait_read,
                                         redirect_error(use_awaitable, error));
    if (error) co_return;
    os::UniqueFd client(
        ::accept4(acceptor->socket.native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (client.valid()) {
      admit(std::move(client), *acceptor);
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
      log(LogLevel::Warning, "cannot accept", {{"error", std::to_string(errno)}});
      asio::steady_timer pause(io, kAcceptPause);
      co_await pause.async_wait(redirect_error(use_awaitable, error));
    }
  }
}

bool Server::Core::isFullFor(const Acceptor& acceptor) const {
  if (sessions.size() >= limits.connections) return true;
  return acceptor.tls && network_sessions >= limits.network_connections;
}

namespace {

/// Best effort: whoever comes when the server is full may also find the connection closed, and a TLS client,
/// who could not read this, does.
void turnAway(int client, const Acceptor& acceptor) {
  if (acceptor.tls) return;
  const ServerResponse full =
      errorResponse(Error{ErrorCode::Unavailable, "too many connections; try again later", {}, {}});
  const std::string text = responseHead(full.status, {{"content-type", full.content_type},
                                                      {"content-length", std::to_string(full.body.size())},
                                                      {"connection", "close"}}) +
                           full.body;
  static_cast<void>(::send(client, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL));
}

/// None when the kernel no longer knows.
std::optional<Peer> peerOf(int client, const Acceptor& acceptor) {
  if (acceptor.family != AF_UNIX) return Peer{std::nullopt, peerAddress(client)};
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(client, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return std::nullopt;
  return Peer{PeerCredentials{credentials.pid, credentials.uid, credentials.gid}, {}};
}

}  // namespace

void Server::Core::admit(os::UniqueFd client, const Acceptor& acceptor) {
  if (isFullFor(acceptor)) return turnAway(client.get(), acceptor);
  std::optional<Peer> peer = peerOf(client.get(), acceptor);
  if (!peer) return;
  auto session = std::make_shared<Session>(*this, std::move(client), acceptor, *std::move(peer));
  Session& started = *session;
  asio::co_spawn(io, started.run(), [session](const std::exception_ptr& thrown) {
    if (thrown) log(LogLevel::Error, "a connection failed");
  });
}

void Server::Core::drain(std::chrono::milliseconds grace) {
  draining = true;
  for (const auto& acceptor : acceptors) acceptor->socket.close();
  listeners.clear();
  const std::vector<Session*> all(sessions.begin(), sessions.end());
  for (Session* session : all) session->wind();
  drain_deadline.expires_after(grace);
  drain_deadline.async_wait([this](const ErrorCodeOfAsio& error) {
    if (!error) io.stop();
  });
  if (sessions.empty()) drain_deadline.cancel();
}

void Server::Core::remove(Session* session) {
  sessions.erase(session);
  if (session->fromNetwork()) --network_sessions;
  if (draining && !ending && sessions.empty()) drain_deadline.cancel();
}

Server::Server(std::shared_ptr<Core> core) : core_(std::move(core)) {
  loop_ = std::jthread([&io = core_->io] {
    // Signals are for the main thread.
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);
    pthread_setname_np(pthread_self(), "http-loop");
    io.run();
  });
}

Result<std::unique_ptr<Server>> Server::start(const std::vector<ListenEndpoint>& endpoints, Router router,
                                              const ServerCollaborators& collaborators,
                                              const ServerLimits& limits) {
  auto core = std::make_shared<Core>(std::move(router), collaborators, limits);
  core->self = core;
  for (const ListenEndpoint& endpoint : endpoints) {
    TRY_VOID(std::visit([&](const auto& at) { return core->listen(at); }, endpoint));
  }
  return std::unique_ptr<Server>(new Server(std::move(core)));
}

const std::vector<TcpAddress>& Server::tcpAddresses() const { return core_->tcp_addresses; }

Server::~Server() { stop(std::chrono::milliseconds(0)); }

void Server::stop(std::chrono::milliseconds grace) {
  if (!loop_.joinable()) return;
  asio::post(core_->io, [core = core_.get(), grace] { core->drain(grace); });
  loop_.join();
}

}  // namespace berth::http
