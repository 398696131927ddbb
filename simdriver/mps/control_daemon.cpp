#include "mps/control_daemon.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <spawn.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/text.h"

namespace berth::sim::mps {
namespace {

constexpr std::size_t kMaxPeers = 512;
constexpr int kHousekeepMs = 50;
constexpr auto kTimeToComeIn = std::chrono::milliseconds(500);  // From a client's answer to its context.
constexpr int kServerChannel = 3;

/// Reads what is there; false when the other side is gone.
bool readSome(int fd, std::string& unread) {
  std::array<char, 1024> buffer{};
  const ssize_t got = ::recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (got < 0) return errno == EAGAIN || errno == EINTR;
  unread.append(buffer.data(), static_cast<std::size_t>(got));
  return got > 0;
}

std::optional<std::string> takeLineOf(std::string& unread) {
  const std::size_t end = unread.find('\n');
  if (end == std::string::npos) return std::nullopt;
  std::string line = unread.substr(0, end);
  unread.erase(0, end + 1);
  return line;
}

int bindSocket(int directory) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -errno;
  struct sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string name = "/proc/self/fd/" + std::to_string(directory) + "/control";
  std::strncpy(address.sun_path, name.c_str(), sizeof address.sun_path - 1);
  ::unlinkat(directory, "control", 0);
  if (::bind(fd, reinterpret_cast<const struct sockaddr*>(&address), sizeof address) != 0 ||
      ::fchmodat(directory, "control", 0666, 0) != 0 || ::listen(fd, 64) != 0) {
    const int error = errno;
    ::close(fd);
    return -error;
  }
  return fd;
}

}  // namespace

UniqueFd& UniqueFd::operator=(UniqueFd&& other) noexcept {
  if (this != &other) {
    reset();
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

void UniqueFd::reset() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

ControlDaemon::ControlDaemon(std::filesystem::path pipe_directory, std::filesystem::path server_program,
                             bool multi_user)
    : pipe_directory_(std::move(pipe_directory)),
      server_program_(std::move(server_program)),
      multi_user_(multi_user),
      log_(logDirectory(), "control.log", "Control"),
      gpus_(openEngine()->gpus(true)) {}

ControlDaemon::~ControlDaemon() {
  for (Server& server : servers_) {
    stop(server);
    ::waitpid(server.pid, nullptr, 0);
  }
  if (listener_.get() >= 0) ::unlink((pipe_directory_ / "control").c_str());
}

Result<void> ControlDaemon::listen() {
  const UniqueFd directory(::open(pipe_directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() < 0) return fail(errnoError(errno, "open", pipe_directory_.string()));
  lock_ = UniqueFd(::openat(directory.get(), "control_lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (lock_.get() < 0) return fail(errnoError(errno, "open", (pipe_directory_ / "control_lock").string()));
  if (::flock(lock_.get(), LOCK_EX | LOCK_NB) != 0) {
    return fail(ErrorCode::Conflict, "An instance of this daemon is already running");
  }
  const int fd = bindSocket(directory.get());
  if (fd < 0) return fail(errnoError(-fd, "bind", (pipe_directory_ / "control").string()));
  listener_ = UniqueFd(fd);
  std::ofstream(pipe_directory_ / "nvidia-cuda-mps-control.pid") << ::getpid() << "\n";
  log_.line("Starting control daemon using socket " + (pipe_directory_ / "control").string());
  return {};
}

void ControlDaemon::serve(int stop) {
  while (!quitDue()) {
    std::vector<struct pollfd> polled{{stop, POLLIN, 0}, {listener_.get(), POLLIN, 0}};
    for (const Server& server : servers_) polled.push_back({server.channel.get(), POLLIN, 0});
    for (const Peer& peer : peers_) polled.push_back({peer.fd.get(), POLLIN, 0});
    ::poll(polled.data(), polled.size(), kHousekeepMs);
    std::size_t i = 2;
    for (Server& server : servers_) {
      if (polled[i++].revents != 0) hear(server);
    }
    for (Peer& peer : peers_) {
      if (polled[i++].revents != 0) hear(peer);
    }
    if (polled[1].revents != 0) accept();
    housekeep();
    if (polled[0].revents != 0) break;
  }
  log_.line("Exit");
}

void ControlDaemon::accept() {
  UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  struct ucred peer{};
  socklen_t size = sizeof peer;
  if (fd.get() < 0 || peers_.size() >= kMaxPeers) return;
  if (::getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return;
  peers_.emplace_back();
  peers_.back().fd = std::move(fd);
  peers_.back().uid = peer.uid;
  peers_.back().pid = peer.pid;
}

void ControlDaemon::hear(Peer& peer) {
  if (!readSome(peer.fd.get(), peer.unread) || peer.unread.size() > kMaxMpsLine) {
    peer.finished = true;
    return;
  }
  const auto line = takeLineOf(peer.unread);
  if (line && !peer.request && !peer.starting && !peer.quitting) takeLine(peer, *line);
}

void ControlDaemon::takeLine(Peer& peer, const std::string& line) {
  constexpr std::string_view kCommand = "command ";
  if (line.starts_with(kCommand)) {
    takeCommand(peer, std::string_view(line).substr(kCommand.size()));
    return;
  }
  peer.request = parseMpsRequest(line);
  if (!peer.request) {
    peer.finished = true;
    return;
  }
  log_.line("NEW CLIENT " + std::to_string(peer.pid) + " from user " + std::to_string(peer.uid));
}

void ControlDaemon::takeCommand(Peer& peer, std::string_view text) {
  const auto command = parseCommand(text);
  if (!command) {
    reply(peer, {true, command.error().message});
    return;
  }
  const bool allowed = peer.uid == 0 || peer.uid == ::geteuid();
  if (!allowed) {
    reply(peer, {true, "only the user of the daemon and root may control it"});
    return;
  }
  if (command->verb == Verb::StartServer) {
    peer.starting = command->uid;
    return;
  }
  if (command->verb == Verb::Quit) {
    quitting_ = true;
    peer.quitting = true;
    if (command->timeout_s) {
      quit_at_ = std::chrono::steady_clock::now() + std::chrono::seconds(*command->timeout_s);
    }
    return;
  }
  reply(peer, execute(*command));
}

void ControlDaemon::reply(Peer& peer, const Reply& answer) {
  std::string text = answer.failed ? "1" : "0";
  text += answer.text;
  if (!answer.text.empty() && answer.text.back() != '\n') text += '\n';
  writeAll(peer.fd.get(), text);
  peer.finished = true;
}

void ControlDaemon::hear(Server& server) {
  if (!readSome(server.channel.get(), server.unread)) {
    server.stopping = true;  // collectExited does the rest.
    server.channel.reset();
    return;
  }
  while (const auto line = takeLineOf(server.unread)) takeServerLine(server, *line);
}

void ControlDaemon::takeServerLine(Server& server, const std::string& line) {
  const auto words = split(line, ' ');
  if (words.size() == 4 && words[0] == "gpu") {
    server.places[words[1]] = {static_cast<std::uint32_t>(parseWholeNumber(words[2]).value_or(0)),
                               static_cast<std::uint32_t>(parseWholeNumber(words[3]).value_or(0))};
    return;
  }
  if (line == "ready") {
    server.ready = true;
    server.let_in = std::chrono::steady_clock::now();
    log_.line("NEW SERVER " + std::to_string(server.pid) + ": Ready");
    return;
  }
  server.stopping = true;
  const auto answer = parseMpsAnswer(line);
  MpsAnswer failed;
  failed.status = answer && answer->status != Status::Ok ? answer->status : Status::MpsServerNotReady;
  log_.line("Server " + std::to_string(server.pid) + " could not start");
  refuseClients(server.uid, failed);
}

void ControlDaemon::refuseClients(uid_t uid, const MpsAnswer& answer) {
  for (Peer& peer : peers_) {
    if (peer.request && userOf(peer.uid) == uid) {
      writeAll(peer.fd.get(), toLine(answer));
      peer.finished = true;
    }
    if (peer.starting && userOf(*peer.starting) == uid) reply(peer, {true, "the server could not start"});
  }
}

void ControlDaemon::housekeep() {
  collectExited();
  stopIdleServers();
  answerWaiting();
  peers_.remove_if([](const Peer& peer) { return peer.finished; });
}

void ControlDaemon::collectExited() {
  servers_.remove_if([this](const Server& server) {
    int status = 0;
    if (::waitpid(server.pid, &status, WNOHANG) != server.pid) return false;
    log_.line("Server " + std::to_string(server.pid) + " exited with status " + std::to_string(status));
    return true;
  });
}

void ControlDaemon::stopIdleServers() {
  for (Server& server : servers_) {
    if ((server.stopping || quitting_) && clientsOf(server).empty()) stop(server);
  }
}

void ControlDaemon::answerWaiting() {
  for (Peer& peer : peers_) {
    if (peer.finished) continue;
    if (peer.request) answerClient(peer);
    if (peer.starting) answerStarting(peer);
  }
}

void ControlDaemon::answerClient(Peer& peer) {
  const std::string& uuid = peer.request->uuid;
  const bool served =
      std::any_of(gpus_.begin(), gpus_.end(), [&uuid](const VisibleGpu& gpu) { return gpu.uuid == uuid; });
  MpsAnswer answer;
  answer.plain = !served;
  if (served) {
    Server* server = serverFor(userOf(peer.uid));
    if (server == nullptr || !server->ready) return;
    const auto place = server->places.find(uuid);
    const auto limit = server->pinned_limits.find(uuid);
    server->let_in = std::chrono::steady_clock::now();
    answer.plain = place == server->places.end();
    if (!answer.plain) {
      answer.server_slot = place->second.slot;
      answer.server_generation = place->second.generation;
    }
    const std::uint32_t wish = peer.request->thread_percent;
    const std::uint64_t bytes = peer.request->pinned_limit_bytes;
    answer.thread_percent = std::min(server->thread_percent, wish == 0 ? 100U : std::clamp(wish, 1U, 100U));
    answer.pinned_limit_bytes = limit == server->pinned_limits.end() ? 0 : limit->second;
    if (bytes != 0 && (answer.pinned_limit_bytes == 0 || bytes < answer.pinned_limit_bytes)) {
      answer.pinned_limit_bytes = bytes;
    }
  }
  writeAll(peer.fd.get(), toLine(answer));
  peer.finished = true;
}

void ControlDaemon::answerStarting(Peer& peer) {
  const Server* server = serverFor(userOf(*peer.starting));
  if (server != nullptr && server->ready) reply(peer, {false, ""});
}

ControlDaemon::Server* ControlDaemon::serverFor(uid_t uid) {
  for (Server& server : servers_) {
    if (server.uid == uid && !server.stopping && !quitting_) return &server;
  }
  if (quitting_) return nullptr;
  // One server at a time: another user's has to end first, which it does when its last client has.
  for (Server& server : servers_) {
    if (idle(server)) stop(server);
  }
  if (!servers_.empty() || !startServer(uid)) return nullptr;
  return &servers_.back();
}

bool ControlDaemon::startServer(uid_t uid) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) return false;
  UniqueFd ours(ends[0]);
  // Above 3, so that duplicating it to 3 also clears its close-on-exec flag.
  const UniqueFd theirs(::fcntl(ends[1], F_DUPFD_CLOEXEC, kServerChannel + 1));
  ::close(ends[1]);
  std::string name = "nvidia-cuda-mps-server";
  std::string user = std::to_string(uid);
  std::array<char*, 3> arguments{name.data(), user.data(), nullptr};
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, theirs.get(), kServerChannel);
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  sigset_t none;
  ::sigemptyset(&none);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  pid_t pid = 0;
  const int error =
      ::posix_spawn(&pid, server_program_.c_str(), &actions, &attributes, arguments.data(), environ);
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    log_.line("Failed to start server: " + std::generic_category().message(error));
    MpsAnswer failed;
    failed.status = Status::MpsServerNotReady;
    refuseClients(uid, failed);
    return false;
  }
  servers_.emplace_back();
  Server& server = servers_.back();
  server.pid = pid;
  server.uid = uid;
  server.channel = std::move(ours);
  server.thread_percent = default_percent_;
  server.pinned_limits = default_limits_;
  log_.line("Starting new server " + std::to_string(pid) + " for user " + std::to_string(uid));
  return true;
}

bool ControlDaemon::idle(const Server& server) const {
  const bool settled = server.ready && std::chrono::steady_clock::now() - server.let_in > kTimeToComeIn;
  return settled && clientsOf(server).empty();
}

void ControlDaemon::stop(Server& server) {
  server.stopping = true;
  server.channel.reset();  // The server ends when it sees this.
}

ControlDaemon::Server* ControlDaemon::find(pid_t pid) {
  for (Server& server : servers_) {
    if (server.pid == pid) return &server;
  }
  return nullptr;
}

std::vector<ControlDaemon::ServerClient> ControlDaemon::clientsOf(const Server& server) const {
  std::vector<ServerClient> clients;
  for (const VisibleGpu& visible : gpus_) {
    const auto place = server.places.find(visible.uuid);
    std::shared_ptr<StateFile> file;
    if (place == server.places.end() || StateFile::open(visible.state_file, file) != Status::Ok) continue;
    LockedGpu gpu(*file);
    if (gpu.status() != Status::Ok) continue;
    gpu.reap();
    for (const ClientView& view : gpu.clients()) {
      if (view.kind != SlotKind::MpsClient || view.server != place->second.slot) continue;
      clients.push_back({view.pid, visible.uuid, view});
    }
  }
  return clients;
}

bool ControlDaemon::faulted(const Server& server) const {
  for (const VisibleGpu& visible : gpus_) {
    const auto place = server.places.find(visible.uuid);
    std::shared_ptr<StateFile> file;
    if (place == server.places.end() || StateFile::open(visible.state_file, file) != Status::Ok) continue;
    LockedGpu gpu(*file);
    if (gpu.status() != Status::Ok) continue;
    if (gpu.faultOf(place->second.slot, place->second.generation) != Status::Ok) return true;
  }
  return false;
}

std::string ControlDaemon::uuidOf(std::string_view device) const {
  for (std::size_t i = 0; i < gpus_.size(); ++i) {
    if (gpus_[i].uuid == device || parseWholeNumber(device) == static_cast<std::int64_t>(i)) {
      return gpus_[i].uuid;
    }
  }
  return {};
}

bool ControlDaemon::quitDue() {
  if (!quitting_) return false;
  if (quit_at_ && std::chrono::steady_clock::now() >= *quit_at_) return true;
  return servers_.empty();
}

}  // namespace berth::sim::mps
