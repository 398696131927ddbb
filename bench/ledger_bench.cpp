// How fast grants become durable, beside what bare SQLite does with the same rows and the same durability on
// the same disk (design 12: at least 0.8 of it), and how long a ledger of 100,000 events takes to open (under
// 1 s). BERTH_BENCH_DIR names the disk to measure; the current directory otherwise.
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include <benchmark/benchmark.h>
#include <sqlite3.h>

#include "arbiter/arbiter.h"
#include "base/types.h"
#include "ledger/ledger.h"
#include "ledger/records.h"
#include "ledger/state.h"

namespace {

using namespace berth;

constexpr int kEvents = 100'000;
constexpr int kEventsPerCommit = 1'000;

class BenchDir {
 public:
  BenchDir() {
    const char* root = std::getenv("BERTH_BENCH_DIR");
    std::string pattern = std::string(root == nullptr ? "." : root) + "/berth-bench-XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) std::abort();
    path_ = pattern;
  }
  ~BenchDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  BenchDir(const BenchDir&) = delete;
  BenchDir& operator=(const BenchDir&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

ledger::State twoGpus() {
  ledger::State state;
  for (int i = 0; i < 2; ++i) {
    ledger::Gpu gpu;
    gpu.index = i;
    gpu.uuid = GpuUuid{"GPU-5f3c1a2b-" + std::to_string(i)};
    gpu.pci = PciAddress{"0000:0" + std::to_string(i) + ":00.0"};
    gpu.memory = MiB{15360};
    gpu.mode = ledger::Mode::Mps;
    state.gpus.push_back(gpu);
  }
  return state;
}

arbiter::Request share(std::int64_t number) {
  arbiter::ContainerClaim claim;
  claim.holder = {ledger::HolderKind::Container, "web-" + std::to_string(number) + "/0/main"};
  claim.compute = Percent{10};
  return arbiter::ClaimContainers{{claim}};
}

/// Decides, applies and makes durable, with its event. False: something failed.
bool carryOut(ledger::Ledger& ledger, ledger::State& state, const arbiter::Request& request) {
  const auto plan = arbiter::decide(state, request, arbiter::Policy{});
  if (!plan) return false;
  ledger::State after = arbiter::apply(state, *plan);
  auto transaction = ledger.begin("grant");
  ledger::Event event;
  event.kind = "granted";
  event.subject = "web";
  event.message = "10 % compute";
  if (!transaction || !transaction->saveState(state, after) || !transaction->appendEvent(event)) return false;
  state = std::move(after);
  return transaction->commit().has_value();
}

/// A grant and a release in turn; each is one durable commit of three rows and one event.
void DurableGrant(benchmark::State& run) {
  const BenchDir dir;
  auto ledger = ledger::Ledger::open(dir.path());
  ledger::State state;
  if (!ledger) return run.SkipWithError(ledger.error().message.c_str());
  {
    auto transaction = (*ledger)->begin("start");
    if (!transaction->saveState(state, twoGpus()) || !transaction->commit())
      return run.SkipWithError("start");
    state = twoGpus();
  }
  bool good = true;
  std::int64_t step = 0;
  for (auto each : run) {
    const ledger::Holder last{ledger::HolderKind::Container, "web-" + std::to_string(step - 1) + "/0/main"};
    const arbiter::Request request =
        step % 2 == 0 ? share(step) : arbiter::Request(arbiter::ReleaseHolder{last});
    good = good && carryOut(**ledger, state, request);
    ++step;
  }
  if (!good) run.SkipWithError("a grant failed");
  run.SetItemsProcessed(run.iterations());
}
BENCHMARK(DurableGrant)->UseRealTime()->Unit(benchmark::kMicrosecond);

struct Close {
  void operator()(sqlite3* handle) const { sqlite3_close(handle); }
};

bool execute(sqlite3* handle, const char* sql) {
  return sqlite3_exec(handle, sql, nullptr, nullptr, nullptr) == SQLITE_OK;
}

/// The reference: four rows a commit into plain tables, with the same pragmas and prepared statements.
void BareSqlite(benchmark::State& run) {
  const BenchDir dir;
  sqlite3* raw = nullptr;
  sqlite3_open((dir.path() + "/bare.db").c_str(), &raw);
  const std::unique_ptr<sqlite3, Close> handle(raw);
  execute(raw,
          "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
          "CREATE TABLE grants (id INTEGER PRIMARY KEY, gpu TEXT, holder TEXT, share INTEGER);"
          "CREATE TABLE events (seq INTEGER PRIMARY KEY, kind TEXT, subject TEXT, message TEXT)");
  sqlite3_stmt* grant = nullptr;
  sqlite3_stmt* event = nullptr;
  sqlite3_prepare_v2(raw, "INSERT INTO grants VALUES (NULL, 'GPU-5f3c1a2b-0', 'web-1/0/main', 10)", -1,
                     &grant, nullptr);
  sqlite3_prepare_v2(raw, "INSERT INTO events VALUES (NULL, 'granted', 'web', '10 % compute')", -1, &event,
                     nullptr);
  bool good = true;
  for (auto each : run) {
    good = good && execute(raw, "BEGIN IMMEDIATE");
    for (sqlite3_stmt* statement : {grant, grant, grant, event}) {
      good = good && sqlite3_step(statement) == SQLITE_DONE;
      sqlite3_reset(statement);
    }
    good = good && execute(raw, "COMMIT");
  }
  sqlite3_finalize(grant);
  sqlite3_finalize(event);
  if (!good) run.SkipWithError("bare SQLite failed");
  run.SetItemsProcessed(run.iterations());
}
BENCHMARK(BareSqlite)->UseRealTime()->Unit(benchmark::kMicrosecond);

bool fillEvents(ledger::Ledger& ledger) {
  for (int done = 0; done < kEvents; done += kEventsPerCommit) {
    auto transaction = ledger.begin("fill");
    for (int i = 0; i < kEventsPerCommit; ++i) {
      const ledger::Event event{.seq = 0,
                                .time = done + i,
                                .kind = "granted",
                                .subject = "web-" + std::to_string(i),
                                .message = "GPU 0 (Tesla T4): berth for container web/0/main: 10 % compute",
                                .data = R"({"gpu":"GPU-5f3c1a2b-0"})"};
      if (!transaction->appendEvent(event)) return false;
    }
    if (!transaction->commit()) return false;
  }
  return true;
}

void OpenHundredThousandEvents(benchmark::State& run) {
  const BenchDir dir;
  {
    auto ledger = ledger::Ledger::open(dir.path());
    if (!ledger || !fillEvents(**ledger)) return run.SkipWithError("filling failed");
  }
  for (auto each : run) {
    auto ledger = ledger::Ledger::open(dir.path());
    if (!ledger) run.SkipWithError(ledger.error().message.c_str());
    benchmark::DoNotOptimize(ledger);
  }
}
BENCHMARK(OpenHundredThousandEvents)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
