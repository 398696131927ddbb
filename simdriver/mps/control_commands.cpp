// The control daemon's answers to commands.
#include <cstdio>
#include <fstream>

#include "mps/control_daemon.h"

namespace berth::sim::mps {
namespace {

std::string nameOf(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/comm");
  std::string name;
  std::getline(in, name);
  return name;
}

}  // namespace

ControlDaemon::Reply ControlDaemon::execute(const Command& command) {
  switch (command.verb) {
    case Verb::GetServerList:
      return listServers();
    case Verb::Ps:
      return processTable();
    case Verb::GetDefaultThreadPercent:
      return {false, percentText(default_percent_)};
    case Verb::SetDefaultThreadPercent:
      default_percent_ = command.thread_percent;
      return {false, percentText(default_percent_)};
    case Verb::GetDefaultPinnedLimit:
    case Verb::SetDefaultPinnedLimit:
      return pinnedLimit(command, default_limits_);
    case Verb::GetDeviceClientList:
      if (command.server == 0) {
        Reply all;
        for (const Server& server : servers_) {
          for (const auto& client : clientsOf(server))
            all.text += client.uuid + " " + std::to_string(client.pid) + "\n";
        }
        return all;
      }
      break;
    default:
      break;
  }
  Server* server = find(command.server);
  if (server == nullptr) return {true, "no MPS server " + std::to_string(command.server)};
  return executeOnServer(command, *server);
}

ControlDaemon::Reply ControlDaemon::executeOnServer(const Command& command, Server& server) {
  Reply answer;
  switch (command.verb) {
    case Verb::GetServerStatus:
      answer.text = faulted(server) ? "FAULT" : server.ready ? "ACTIVE" : "INITIALIZING";
      break;
    case Verb::GetClientList:
      for (const auto& client : clientsOf(server)) answer.text += std::to_string(client.pid) + "\n";
      break;
    case Verb::GetDeviceClientList:
      for (const auto& client : clientsOf(server)) {
        answer.text += client.uuid + " " + std::to_string(client.pid) + "\n";
      }
      break;
    case Verb::GetThreadPercent:
      answer.text = percentText(server.thread_percent);
      break;
    case Verb::SetThreadPercent:
      server.thread_percent = command.thread_percent;
      answer.text = percentText(server.thread_percent);
      break;
    case Verb::GetPinnedLimit:
    case Verb::SetPinnedLimit:
      return pinnedLimit(command, server.pinned_limits);
    case Verb::TerminateClient:
      return terminate(server, command.client);
    case Verb::ShutdownServer:
      server.stopping = true;
      if (command.force) stop(server);
      break;
    default:
      return {true, "not a command for a server"};
  }
  return answer;
}

ControlDaemon::Reply ControlDaemon::pinnedLimit(const Command& command,
                                                std::map<std::string, std::uint64_t>& limits) {
  const std::string uuid = uuidOf(command.device);
  if (uuid.empty()) return {true, "no device " + command.device};
  if (command.limit_bytes != 0) {
    limits[uuid] = command.limit_bytes;
    return {};
  }
  const auto found = limits.find(uuid);
  return {false, found == limits.end() ? "no limit" : limitText(found->second)};
}

ControlDaemon::Reply ControlDaemon::listServers() const {
  Reply answer;
  for (const Server& server : servers_) {
    if (!server.stopping) answer.text += std::to_string(server.pid) + "\n";
  }
  return answer;
}

ControlDaemon::Reply ControlDaemon::processTable() {
  Reply answer{false, "PID       SERVER    DEVICE                                    COMMAND\n"};
  for (const Server& server : servers_) {
    for (const auto& client : clientsOf(server)) {
      std::array<char, 192> row{};
      std::snprintf(row.data(), row.size(), "%-9d %-9d %-41s %s\n", client.pid, server.pid,
                    client.uuid.c_str(), nameOf(client.pid).c_str());
      answer.text += row.data();
    }
  }
  return answer;
}

ControlDaemon::Reply ControlDaemon::terminate(Server& server, pid_t client) {
  bool found = false;
  for (const auto& candidate : clientsOf(server)) {
    if (candidate.pid != client) continue;
    std::shared_ptr<StateFile> file;
    for (const VisibleGpu& gpu : gpus_) {
      if (gpu.uuid != candidate.uuid || StateFile::open(gpu.state_file, file) != Status::Ok) continue;
      LockedGpu locked(*file);
      if (locked.status() != Status::Ok) continue;
      locked.failClient(candidate.view.slot, Status::MpsClientTerminated);
      found = true;
    }
  }
  if (!found)
    return {true, "no client " + std::to_string(client) + " of server " + std::to_string(server.pid)};
  log_.line("Client " + std::to_string(client) + " terminated by command");
  return {};
}

}  // namespace berth::sim::mps
