// berthd: reads the command line and the configuration, then runs the daemon.
#include <csignal>
#include <cstdio>
#include <exception>
#include <string>

#include <CLI/CLI.hpp>
#include <systemd/sd-daemon.h>

#include "api/version.h"
#include "base/log.h"
#include "daemon/config.h"
#include "daemon/daemon.h"
#include "ledger/ledger.h"
#include "os/files.h"

namespace {

using berth::Error;
using berth::Result;
using berth::daemon::Config;

constexpr int kFailed = 1;
constexpr int kUsage = 2;
constexpr std::size_t kMaxConfigBytes = std::size_t{64} * 1024;
constexpr const char* kDefaultConfig = "/etc/berth/berthd.yaml";

int complain(const Error& error) {
  std::fprintf(stderr, "berthd: %s\n", error.message.c_str());
  return error.code == berth::ErrorCode::InvalidArgument ? kUsage : kFailed;
}

Result<Config> readConfig(const std::string& file, bool must_exist) {
  const Result<std::string> text = berth::os::readFile(file, kMaxConfigBytes);
  if (text) return berth::daemon::parseConfig(*text, file, {});
  if (!must_exist && text.error().code == berth::ErrorCode::NotFound) return Config{};
  return berth::fail(text.error());
}

/// Before any thread starts, so that only sigwait() sees them.
void blockSignals() {
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGTERM);
  ::sigaddset(&signals, SIGINT);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
}

int repair(const Config& config) {
  const auto report = berth::ledger::Ledger::repair(config.state_dir.string());
  if (!report) return complain(report.error());
  for (const std::string& line : report->findings) std::printf("%s\n", line.c_str());
  std::printf("the damaged ledger is kept as %s\n", report->damaged_copy.c_str());
  return report->complete ? 0 : kFailed;
}

int start(int argc, char** argv) {
  CLI::App app{"Berth's daemon: owns this device's GPUs and gives out places on them.", "berthd"};
  std::string file;
  std::string simulate;
  std::string state_dir;
  std::string run_dir;
  std::string socket;
  std::string engine;
  std::string arbitration;
  std::string listen;
  std::string log_level;
  bool repair_ledger = false;
  app.add_option("--config", file,
                 "Settings file (default " + std::string(kDefaultConfig) + ", if it is there)");
  app.add_option("--simulate", simulate, "Run on simulated GPUs, for example t4:2");
  app.add_option("--state-dir", state_dir, "Where the ledger is kept (default /var/lib/berth)");
  app.add_option("--run-dir", run_dir,
                 "Sockets and MPS folders (default /run/berth; with --state-dir, its folder run)");
  app.add_option("--socket", socket, "Unix socket for the berth command (default RUN_DIR/berth.sock)");
  app.add_option("--engine-socket", engine, "Container engine (default Podman's or Docker's usual socket)");
  app.add_option("--arbitration", arbitration, "appliance or elastic");
  app.add_option("--listen", listen,
                 "Also serve the API by TLS at ADDRESS:PORT, for example 127.0.0.1:8443 (default: not)");
  app.add_option("--log-level", log_level, "error, warning, info or debug");
  app.add_flag("--repair", repair_ledger, "Keep what can be read of a damaged ledger, then end");
  app.set_version_flag("--version", std::string(berth::api::kVersion));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUsage;
  }
  Result<Config> config = readConfig(file.empty() ? kDefaultConfig : file, !file.empty());
  if (!config) return complain(config.error());
  if (!state_dir.empty()) {
    config->state_dir = state_dir;
    config->run_dir = config->state_dir / "run";
  }
  // What the command line says goes through the file's own checks.
  const std::vector<std::pair<std::string, std::string>> given{
      {"simulate", simulate},       {"runDir", run_dir}, {"socket", socket},     {"engineSocket", engine},
      {"arbitration", arbitration}, {"listen", listen},  {"logLevel", log_level}};
  for (const auto& [key, value] : given) {
    if (value.empty()) continue;
    config = berth::daemon::setOption(key, value, *std::move(config));
    if (!config) return complain(config.error());
  }
  if (const auto checked = berth::daemon::checkConfig(*config); !checked) return complain(checked.error());
  berth::setLogLevel(config->log_level);
  if (repair_ledger) return repair(*config);
  blockSignals();
  const Result<void> ended = berth::daemon::run(*config, [] { ::sd_notify(0, "READY=1"); });
  return ended ? 0 : complain(ended.error());
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return start(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "berthd: internal error: %s\n", error.what());
    return kFailed;
  }
}
