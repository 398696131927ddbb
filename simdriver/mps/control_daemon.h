// The MPS control daemon: one per pipe directory. It starts a server for a user when the first client of that
// user comes, tells clients their place and limits, and takes commands from the control program. One thread,
// one poll loop; nobody it talks to can make it wait.
//
// Over the socket `control` a peer sends one line, either "client ..." (engine/mps_client.h) or "command
// TEXT". A command's answer is "0" or "1" (failed), then the text, then the end of the connection.
#pragma once

#include <chrono>
#include <filesystem>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <poll.h>
#include <sys/types.h>

#include "base/error.h"
#include "engine/gpu.h"
#include "engine/mps_client.h"
#include "mps/commands.h"
#include "mps/log_file.h"

namespace berth::sim::mps {

class UniqueFd {
 public:
  explicit UniqueFd(int fd = -1) : fd_(fd) {}
  ~UniqueFd() { reset(); }
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  UniqueFd& operator=(UniqueFd&& other) noexcept;
  int get() const { return fd_; }
  void reset();

 private:
  int fd_;
};

class ControlDaemon {
 public:
  /// `server_program` is started for each server. With `multi_user` all users share root's.
  ControlDaemon(std::filesystem::path pipe_directory, std::filesystem::path server_program, bool multi_user);
  ~ControlDaemon();

  /// Makes the socket. Conflict: another daemon answers there. Io, Denied.
  Result<void> listen();
  /// Serves until `quit` or until `stop` (a signalfd or the like) is readable. Servers are gone afterwards.
  void serve(int stop);

 private:
  struct Place {
    std::uint32_t slot = 0;
    std::uint32_t generation = 0;
  };
  struct Server {
    pid_t pid = 0;
    uid_t uid = 0;
    UniqueFd channel;
    std::string unread;
    bool ready = false;
    bool stopping = false;
    std::chrono::steady_clock::time_point let_in;  // When it was ready or last told a client its place.
    std::uint32_t thread_percent = 100;
    std::map<std::string, std::uint64_t> pinned_limits;  // By UUID.
    std::map<std::string, Place> places;                 // By UUID.
  };
  /// A connection: first its line is read; then it may wait for its answer.
  struct Peer {
    UniqueFd fd;
    uid_t uid = 0;
    pid_t pid = 0;
    std::string unread;
    std::optional<MpsRequest> request;  // A client waiting for a server.
    std::optional<uid_t> starting;      // A start_server command waiting for it.
    bool quitting = false;
    bool finished = false;
  };
  struct Reply {
    bool failed = false;
    std::string text;
  };
  struct ServerClient {
    pid_t pid = 0;
    std::string uuid;
    ClientView view;
  };

  void accept();
  void hear(Peer& peer);
  void hear(Server& server);
  void takeServerLine(Server& server, const std::string& line);
  void takeLine(Peer& peer, const std::string& line);
  void takeCommand(Peer& peer, std::string_view text);
  void housekeep();
  void collectExited();
  void stopIdleServers();
  void answerWaiting();
  void answerClient(Peer& peer);
  void refuseClients(uid_t uid, const MpsAnswer& answer);
  void answerStarting(Peer& peer);
  bool quitDue();

  Reply execute(const Command& command);
  Reply executeOnServer(const Command& command, Server& server);
  Reply pinnedLimit(const Command& command, std::map<std::string, std::uint64_t>& limits);
  Reply listServers() const;
  Reply processTable();
  Reply terminate(Server& server, pid_t client);

  uid_t userOf(uid_t uid) const { return multi_user_ ? 0 : uid; }
  /// The server for a user; makes one when none is in the way. Null: wait.
  Server* serverFor(uid_t uid);
  bool startServer(uid_t uid);
  void stop(Server& server);
  /// Nobody uses it, nobody has just been told to, and it is not being started for somebody.
  bool idle(const Server& server) const;
  Server* find(pid_t pid);
  std::vector<ServerClient> clientsOf(const Server& server) const;
  std::string uuidOf(std::string_view device) const;
  bool faulted(const Server& server) const;
  static void reply(Peer& peer, const Reply& reply);

  std::filesystem::path pipe_directory_;
  std::filesystem::path server_program_;
  bool multi_user_;
  LogFile log_;
  std::vector<VisibleGpu> gpus_;
  UniqueFd listener_;
  UniqueFd lock_;
  std::list<Server> servers_;
  std::list<Peer> peers_;
  std::uint32_t default_percent_ = 100;
  std::map<std::string, std::uint64_t> default_limits_;
  bool quitting_ = false;
  std::optional<std::chrono::steady_clock::time_point> quit_at_;
};

}  // namespace berth::sim::mps
