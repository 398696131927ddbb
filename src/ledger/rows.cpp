#include "ledger/rows.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/types.h"
#include "ledger/records.h"
#include "ledger/sqlite.h"
#include "ledger/state.h"

namespace berth::ledger {
namespace {

constexpr std::array<std::string_view, 3> kStepStates{"intent", "done", "undone"};

template <typename Enum, std::size_t N>
bool lookUp(const std::array<std::string_view, N>& names, std::string_view name, Enum& out) {
  for (std::size_t i = 0; i < N; ++i) {
    if (names.at(i) != name) continue;
    out = static_cast<Enum>(i);
    return true;
  }
  return false;
}

struct Singles {
  Kubernetes kubernetes;
  std::int64_t next_berth = 1;
};

Singles singlesFrom(RowReader& row) {
  Singles singles;
  singles.kubernetes.enabled = row.flag();
  singles.kubernetes.kubelet_attached = row.flag();
  singles.next_berth = row.integer();
  return singles;
}

std::int64_t flag(bool value) { return value ? 1 : 0; }

}  // namespace

std::string_view name(StepState state) { return kStepStates.at(static_cast<std::size_t>(state)); }
bool fromName(std::string_view name, StepState& out) { return lookUp(kStepStates, name, out); }

Gpu gpuFrom(RowReader& row) {
  Gpu gpu;
  gpu.uuid = GpuUuid{row.text()};
  gpu.pci = PciAddress{row.text()};
  gpu.index = row.number();
  gpu.name = row.text();
  gpu.memory = MiB{row.integer()};
  gpu.simulated = row.flag();
  gpu.owner.kind = row.named<OwnerKind>();
  gpu.owner.name = row.text();
  gpu.mode = row.named<Mode>();
  gpu.health = row.named<Health>();
  gpu.health_reason = row.text();
  gpu.generation = row.integer();
  return gpu;
}

void bindGpu(Statement& statement, const Gpu& gpu) {
  statement.bind(1, gpu.uuid.value).bind(2, gpu.pci.value).bind(3, std::int64_t{gpu.index});
  statement.bind(4, gpu.name).bind(5, gpu.memory.value).bind(6, flag(gpu.simulated));
  statement.bind(7, name(gpu.owner.kind)).bind(8, gpu.owner.name).bind(9, name(gpu.mode));
  statement.bind(10, name(gpu.health)).bind(11, gpu.health_reason).bind(12, gpu.generation);
}

Berth berthFrom(RowReader& row) {
  Berth berth;
  berth.id = row.integer();
  berth.gpu = GpuUuid{row.text()};
  berth.holder.kind = row.named<HolderKind>();
  berth.holder.name = row.text();
  berth.whole = row.flag();
  berth.compute = Percent{row.number()};
  berth.thread_percentage = Percent{row.number()};
  berth.memory = MiB{row.integer()};
  berth.compute_rung = row.named<Rung>();
  berth.memory_rung = row.named<Rung>();
  berth.best_effort = row.flag();
  return berth;
}

void bindBerth(Statement& statement, const Berth& berth) {
  statement.bind(1, berth.id).bind(2, berth.gpu.value).bind(3, name(berth.holder.kind));
  statement.bind(4, berth.holder.name).bind(5, flag(berth.whole)).bind(6, std::int64_t{berth.compute.value});
  statement.bind(7, std::int64_t{berth.thread_percentage.value}).bind(8, berth.memory.value);
  statement.bind(9, name(berth.compute_rung)).bind(10, name(berth.memory_rung));
  statement.bind(11, flag(berth.best_effort));
}

Loan loanFrom(RowReader& row) {
  Loan loan;
  loan.gpu = GpuUuid{row.text()};
  loan.vm = row.text();
  loan.recalled = row.flag();
  return loan;
}

Result<State> readState(Database& database) {
  State state;
  TRY(state.gpus, readRows(database, "gpu",
                           "SELECT uuid, pci, position, name, memory_mib, simulated, owner_kind, owner_name, "
                           "mode, health, health_reason, generation FROM gpu ORDER BY position, uuid",
                           gpuFrom));
  TRY(state.berths, readRows(database, "berth",
                             "SELECT id, gpu, holder_kind, holder_name, whole, compute, thread_percentage, "
                             "memory_mib, compute_rung, memory_rung, best_effort FROM berth ORDER BY id",
                             berthFrom));
  TRY(state.loans, readRows(database, "loan", "SELECT gpu, vm, recalled FROM loan ORDER BY gpu", loanFrom));
  TRY(const auto singles,
      readRows(database, "kubernetes", "SELECT enabled, kubelet_attached, next_berth FROM kubernetes",
               singlesFrom));
  if (singles.size() != 1) return fail(ErrorCode::Corrupt, "table kubernetes: it has one row, always");
  state.kubernetes = singles.front().kubernetes;
  state.next_berth = singles.front().next_berth;
  return state;
}

}  // namespace berth::ledger
