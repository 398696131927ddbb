// What the ledger's tests share: a directory that goes away, and states to store.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/types.h"
#include "ledger/ledger.h"
#include "ledger/records.h"
#include "ledger/state.h"

namespace berth::ledger::testing {

/// On a file system in memory where there is one: these tests sync thousands of times.
class TempDir {
 public:
  TempDir() {
    const std::filesystem::path memory = "/dev/shm";
    const auto root = std::filesystem::exists(memory) ? memory : std::filesystem::temp_directory_path();
    std::string pattern = (root / "berth-ledger-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  std::string path() const { return path_.string(); }
  std::string file(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

inline std::string readFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

inline void writeFile(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

/// Two GPUs, the second with `berths` shares of 1 % on it.
inline State stateWith(int berths) {
  State state;
  for (int i = 0; i < 2; ++i) {
    Gpu gpu;
    gpu.index = i;
    gpu.uuid = GpuUuid{"GPU-" + std::to_string(i)};
    gpu.pci = PciAddress{"0000:0" + std::to_string(i) + ":00.0"};
    gpu.name = "Tesla T4";
    gpu.memory = MiB{15360};
    gpu.generation = berths;
    state.gpus.push_back(gpu);
  }
  if (berths > 0) state.gpus[1].owner.kind = OwnerKind::Local;
  for (int i = 1; i <= berths; ++i) {
    Berth berth;
    berth.id = i;
    berth.gpu = state.gpus[1].uuid;
    berth.holder = {HolderKind::Container, "web/" + std::to_string(i) + "/main"};
    berth.compute = Percent{1};
    berth.memory = MiB{100};
    berth.compute_rung = Rung::MpsV2;
    berth.memory_rung = Rung::Guard;
    state.berths.push_back(berth);
  }
  state.next_berth = berths + 1;
  return state;
}

inline std::unique_ptr<Ledger> open(const TempDir& dir, const OpenOptions& options = {}) {
  auto ledger = Ledger::open(dir.path(), options);
  EXPECT_TRUE(ledger) << (ledger ? "" : ledger.error().message);
  return ledger ? std::move(*ledger) : nullptr;
}

/// One transaction that takes the ledger from one state to the other and says so in an event.
inline Result<void> store(Ledger& ledger, const State& before, const State& after) {
  TRY(Transaction transaction, ledger.begin("store"));
  TRY_VOID(transaction.saveState(before, after));
  Event event;
  event.kind = "stored";
  event.subject = std::to_string(after.berths.size());
  TRY(const std::int64_t seq, transaction.appendEvent(event));
  static_cast<void>(seq);
  return transaction.commit();
}

}  // namespace berth::ledger::testing
