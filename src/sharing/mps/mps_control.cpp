#include "sharing/mps/mps_control.h"

#include <string_view>
#include <utility>

#include "base/text.h"

namespace berth::sharing {
namespace {

/// What the program printed about a failure, on one line.
std::string complaint(const os::ProcessResult& result) {
  const std::string_view errors = trim(result.errors);
  const std::string_view output = trim(result.output);
  if (!errors.empty()) return std::string(errors);
  return output.empty() ? os::describe(result.status) : std::string(output);
}

}  // namespace

Result<std::string> MpsControl::ask(const std::string& command) {
  os::ProcessSpec spec;
  spec.argv = {program_.string()};
  spec.env = {{"CUDA_MPS_PIPE_DIRECTORY", pipe_directory_.string()}};
  spec.input = command + "\n";
  TRY(os::ProcessResult result,
      runner_.run(spec, clock_.now() + timeout_).during("asking the MPS control daemon: " + command));
  if (result.status.success()) return std::move(result.output);
  return fail(ErrorCode::Unavailable, "the MPS control daemon, asked " + command + ": " + complaint(result));
}

Result<std::vector<std::int64_t>> MpsControl::servers() {
  TRY(const std::string answer, ask("get_server_list"));
  return parsePidList(answer);
}

Result<MpsServerState> MpsControl::serverState(std::int64_t server) {
  TRY(const std::string answer, ask("get_server_status " + std::to_string(server)));
  return parseServerState(answer);
}

Result<std::vector<std::int64_t>> MpsControl::clients(std::int64_t server) {
  TRY(const std::string answer, ask("get_client_list " + std::to_string(server)));
  return parsePidList(answer);
}

Result<Percent> MpsControl::defaultThreadPercentage() {
  TRY(const std::string answer, ask("get_default_active_thread_percentage"));
  return parsePercentage(answer);
}

Result<void> MpsControl::setDefaultThreadPercentage(Percent threads) {
  TRY_VOID(ask("set_default_active_thread_percentage " + std::to_string(threads.value)));
  // The program's exit status says nothing about a value it did not take.
  TRY(const Percent now, defaultThreadPercentage());
  if (now == threads) return {};
  return fail(ErrorCode::Unavailable,
              "the MPS control daemon did not take the thread percentage " + std::to_string(threads.value));
}

Result<void> MpsControl::setThreadPercentage(std::int64_t server, Percent threads) {
  TRY_VOID(
      ask("set_active_thread_percentage " + std::to_string(server) + " " + std::to_string(threads.value)));
  return {};
}

Result<void> MpsControl::setDefaultMemoryLimit(const GpuUuid& gpu, MiB memory) {
  // By UUID: the daemon's indices are not the box's, since it sees one GPU only.
  TRY_VOID(
      ask("set_default_device_pinned_mem_limit " + gpu.value + " " + std::to_string(memory.value) + "M"));
  return {};
}

Result<void> MpsControl::startServer() {
  TRY_VOID(ask("start_server -uid 0"));
  return {};
}

Result<void> MpsControl::terminateClient(std::int64_t server, std::int64_t client) {
  TRY_VOID(ask("terminate_client " + std::to_string(server) + " " + std::to_string(client)));
  return {};
}

Result<void> MpsControl::quit(std::chrono::seconds grace) {
  TRY_VOID(ask("quit -t " + std::to_string(grace.count())));
  return {};
}

}  // namespace berth::sharing
