#include "daemon/daemon.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <iterator>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include <unistd.h>

#include "api/routes.h"
#include "api/version.h"
#include "auth/account_routes.h"
#include "auth/network_authenticator.h"
#include "auth/sign_in_routes.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "container/docker_engine.h"
#include "container/gpu_files.h"
#include "daemon/live_data.h"
#include "daemon/network.h"
#include "daemon/reconciler.h"
#include "daemon/simulation.h"
#include "daemon/virtual_machines.h"
#include "gpu/nvml/nvml_driver.h"
#include "gpu/vfio/sysfs_settings.h"
#include "http/authenticator.h"
#include "http/server.h"
#include "http/worker_pool.h"
#include "ledger/failpoint.h"
#include "ledger/ledger.h"
#include "os/files.h"
#include "os/pidfd.h"
#include "os/procfs.h"
#include "service/service.h"
#include "service/vfio_handover.h"
#include "sharing/guard/guard_library.h"
#include "sharing/mps/mps_manager.h"

namespace berth::daemon {
namespace {

constexpr std::size_t kShortWorkers = 4;
constexpr std::size_t kLongWorkers = 64;
constexpr std::size_t kMaxQueued = 256;
constexpr std::chrono::seconds kDrain{5};
constexpr mode_t kStateMode = 0700;
constexpr mode_t kRunMode = 0755;
constexpr std::array<std::string_view, 2> kEngineSockets{"/run/podman/podman.sock", "/var/run/docker.sock"};

std::string engineSocket(const Config& config) {
  if (!config.engine_socket.empty()) return config.engine_socket;
  for (const std::string_view socket : kEngineSockets) {
    if (std::filesystem::exists(socket)) return std::string(socket);
  }
  return std::string(kEngineSockets.front());
}

/// Where the simulated driver lies beside this program: in a build tree, or installed.
std::filesystem::path simulatedRoot(const Config& config) {
  if (!config.sim_root.empty()) return config.sim_root;
  std::error_code error;
  const std::filesystem::path bin = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
  const std::filesystem::path built = bin.parent_path() / "simdriver-root";
  return std::filesystem::exists(built) ? built : bin.parent_path() / "lib" / "berth" / "simdriver";
}

/// Our containers are told from other daemons' by this label: the state directory, which one daemon has at a
/// time.
std::string instanceName(const Config& config) {
  std::error_code error;
  return std::filesystem::weakly_canonical(config.state_dir, error).string();
}

/// Without the guard a limit is MPS's or none, and the arbiter says so (B15).
std::optional<std::filesystem::path> guardLibrary(const Config& config) {
  std::error_code error;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", error);
  auto library = sharing::findGuardLibrary(config.guard_library, program);
  log(library ? LogLevel::Info : LogLevel::Warning, library ? "guard found" : "no guard: limits need MPS",
      {{"library", library ? library->string() : config.guard_library.string()}});
  return library;
}

struct Driver {
  std::filesystem::path root;
  std::filesystem::path sim_dir;  // Empty: a real one.
  std::filesystem::path sim_tool;
};

Driver chooseDriver(const Config& config) {
  if (config.simulate.empty()) return {config.driver_root, {}, {}};
  const std::filesystem::path root = simulatedRoot(config);
  return {root, config.run_dir / "sim", root / "bin" / "berth-sim"};
}

void waitForSignal() {
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGTERM);
  ::sigaddset(&signals, SIGINT);
  int number = 0;
  ::sigwait(&signals, &number);
  log(LogLevel::Info, "stopping", {{"signal", std::to_string(number)}});
}

/// The driver's files, for containers. A box whose driver is not there (yet) still runs what needs no GPU.
container::DriverFiles driverFiles(const Driver& driver) {
  auto files = container::findDriverFiles(driver.root, !driver.sim_dir.empty());
  if (files) return *files;
  log(LogLevel::Warning, "no GPU driver for containers", {{"why", files.error().message}});
  return {};
}

std::string listening(const http::Server& server) {
  std::vector<std::string> addresses;
  for (const http::TcpAddress& address : server.tcpAddresses()) addresses.push_back(describe(address));
  return join(addresses, ",");
}

}  // namespace

Result<void> run(const Config& config, const std::function<void()>& ready) {
  TRY_VOID(os::ensureDirectory(config.state_dir, kStateMode));
  TRY_VOID(os::ensureDirectory(config.run_dir, kRunMode));
  const SystemClock clock;
  os::PosixProcessRunner runner;
  const std::unique_ptr<ledger::FailPoint> fail_point = ledger::failPointFromEnvironment();
  TRY(const std::unique_ptr<ledger::Ledger> ledger,
      ledger::Ledger::open(config.state_dir.string(), {fail_point.get(), {}}));
  const auto guard_library = guardLibrary(config);
  arbiter::Capabilities capabilities;
  capabilities.guard = guard_library.has_value();
  const arbiter::Policy policy{config.arbitration, capabilities, arbiter::Policy{}.mps_client_limit};
  TRY(const std::unique_ptr<service::Desk> desk, service::Desk::open(*ledger, clock, policy));

  const Driver driver = chooseDriver(config);
  // Where the simulated driver's libraries, in this process and in the children, find their GPUs. No thread
  // runs yet.
  if (!driver.sim_dir.empty()) ::setenv("BERTH_SIM_DIR", driver.sim_dir.c_str(), 1);
  gpu::NvmlDriver nvml(driver.root);
  const gpu::PciBus bus;
  TRY(const std::string boot_id, os::Procfs().bootId());
  service::InventoryKeeper inventory(*desk, nvml, bus, config.also_gpus, boot_id);
  container::DockerEngine engine(engineSocket(config));
  EngineHealth engine_health(engine);
  Reconciler reconciler({*desk, inventory, nvml, engine_health});
  SimulatedDriver simulation(runner, driver.sim_tool, driver.sim_dir, [&] { reconciler.lookAtInventory(); });
  if (!config.simulate.empty()) TRY_VOID(simulation.create(config.simulate));
  if (const Result<void> listed = inventory.refresh(); !listed) {
    log(LogLevel::Warning, "no GPUs yet", {{"why", listed.error().message}});
  }

  TRY(const std::unique_ptr<os::ProcessWatcher> watcher, os::ProcessWatcher::create());
  const sharing::MpsWorld world{{driver.root, config.run_dir, boot_id},
                                runner,
                                nvml,
                                clock,
                                [](std::chrono::milliseconds time) { std::this_thread::sleep_for(time); },
                                os::Procfs()};
  const sharing::GuardRegions regions(config.run_dir / "guard", guard_library.value_or(""));
  service::GuardKeeper guard({*desk, engine, nvml, guard_library ? &regions : nullptr, config.enforcement});
  service::SharingKeeper* keeper = nullptr;
  sharing::MpsManager mps(world, [&](const sharing::MpsFault& fault) { keeper->noteFault(fault); });
  service::SharingKeeper sharing({*desk, mps, nvml, guard, driverFiles(driver), driver.sim_dir,
                                  [&](const GpuUuid& gpu, auto when) { reconciler.lookAtGpu(gpu, when); },
                                  [&](const GpuUuid& gpu) { reconciler.sharingChanged(gpu); }});
  keeper = &sharing;
  service::WorkloadRunner workloads(
      {*desk, engine, *watcher, sharing,
       [&](const std::string& name, auto when) { reconciler.lookAtWorkload(name, when); },
       instanceName(config)});
  reconciler.attach(workloads, sharing, guard);

  vfio::HelperWriter sysfs_writer(runner);
  service::VfioHandover vfio_handover({*desk, nvml, runner, sysfs_writer, config.also_gpus});
  Handover handover(simulation, vfio_handover);
  TRY(const std::unique_ptr<VirtualMachines> vms,
      VirtualMachines::create(config, {*desk, runner, handover, instanceName(config), boot_id,
                                       [&] { reconciler.lookAtInventory(); }}));
  reconciler.alsoTell([&](const auto& before, const auto& after) { vms->committed(before, after); });

  service::Service service(*desk, engine);
  DriverData live(nvml, mps, engine_health, *desk, guard);
  const http::PeerCredentialAuthenticator local_login(::geteuid());
  TRY(const std::unique_ptr<auth::AccountStore> accounts,
      auth::AccountStore::open(config.state_dir / "auth" / "accounts.json", clock));
  TRY(const auth::TokenKey token_key, auth::TokenKey::load(config.state_dir / "auth" / "token.key"));
  TRY(const std::unique_ptr<auth::SignIn> sign_in,
      auth::SignIn::make(*accounts, token_key, clock, {config.token_lifetime, config.tenant}));
  const auth::NetworkAuthenticator authenticator(local_login, *sign_in);
  http::WorkerPool short_pool("short", kShortWorkers, kMaxQueued);
  http::WorkerPool long_pool("long", kLongWorkers, 0);
  const std::string socket = config.socketPath().string();
  std::vector<http::Route> more = auth::accountRoutes(*accounts, *sign_in, deviceName(config));
  std::ranges::move(auth::signInRoutes(*sign_in, token_key, deviceName(config)), std::back_inserter(more));
  TRY(std::vector<http::ListenEndpoint> endpoints, networkEndpoints(config, clock.wallTime()));
  endpoints.emplace_back(http::UnixListenEndpoint{socket, config.socket_group});
  TRY(const std::unique_ptr<http::Server> server,
      http::Server::start(
          endpoints,
          http::Router(
              api::routes({service, live, simulation, vms->service(), vms->extensions()}, std::move(more))),
          {authenticator, short_pool, long_pool}));
  reconciler.begin();
  vms->begin();
  log(LogLevel::Info, "ready",
      {{"version", std::string(api::kVersion)}, {"socket", socket}, {"listen", listening(*server)}});
  ready();
  waitForSignal();
  server->stop(kDrain);
  reconciler.stop();
  vms->stop();
  return {};
}

}  // namespace berth::daemon
