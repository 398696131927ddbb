// What the ledger remembers, as plain values: which GPUs there are, who owns them, which berths are granted
// on them and what the operator chose. The arbiter decides over a State; the ledger stores one. No I/O here.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/types.h"

namespace berth::ledger {

/// Who has a GPU now (design 1).
enum class OwnerKind : std::uint8_t {
  Free,
  Vm,           // A VM, or a reservation for a VM to come; `name` is its name.
  Kubernetes,   // The device's Kubernetes: a kubelet's pods, or Berth's own containers while none is attached
                // (B18).
  Local,        // Containers Berth runs while Kubernetes is not enabled.
  Quarantined,  // Not given out: `name` says why.
  Moving,       // Changing hands; `name` says from whom to whom. The journal knows the steps.
};

struct Owner {
  OwnerKind kind = OwnerKind::Free;
  std::string name;
  bool operator==(const Owner&) const = default;
};

/// How the containers of one GPU share it.
enum class Mode : std::uint8_t { Exclusive, TimeSlice, Mps };

/// The mechanism that enforces a limit, strongest first.
enum class Rung : std::uint8_t { Dmem, MpsV3, MpsV2, Guard, None };

enum class Health : std::uint8_t {
  Ok,
  Unhealthy,  // A critical XID or ECC error; gives no new berths until the cause is gone.
  Lost,       // NVML no longer lists it and no VM has it.
};

struct Gpu {
  GpuUuid uuid;
  PciAddress pci;
  int index =
      0;  // Position by PCI address among all GPUs ever seen here; what NVIDIA_VISIBLE_DEVICES=0 names.
  std::string name;
  MiB memory;
  bool simulated = false;
  Owner owner;
  Mode mode = Mode::TimeSlice;
  Health health = Health::Ok;
  std::string health_reason;
  std::int64_t generation = 0;  // Grows by one with each change of owner.
  bool operator==(const Gpu&) const = default;
};

enum class HolderKind : std::uint8_t { Vm, Reservation, Container };

/// Who a berth was granted to. A container's name is "<workload>/<pod number>/<container>".
struct Holder {
  HolderKind kind = HolderKind::Container;
  std::string name;
  auto operator<=>(const Holder&) const = default;
};

struct Berth {
  std::int64_t id = 0;
  GpuUuid gpu;
  Holder holder;
  bool whole = false;         // The whole GPU, alone.
  Percent compute;            // Counted share, or 0: none stated.
  Percent thread_percentage;  // A11: cap set by the container's env under MPS, not counted; 0: none.
  MiB memory;                 // Counted share, or 0: none stated.
  Rung compute_rung = Rung::None;
  Rung memory_rung = Rung::None;
  bool best_effort = false;  // B15: granted although a limit cannot be enforced.
  bool operator==(const Berth&) const = default;
};

/// The device's Kubernetes as the ledger knows it.
struct Kubernetes {
  bool enabled = false;
  bool kubelet_attached = false;
  bool operator==(const Kubernetes&) const = default;
};

/// B7: a deallocated VM's claim on a GPU that others may use until it starts. Not a berth: whoever has the
/// GPU meanwhile is its owner.
struct Loan {
  GpuUuid gpu;
  std::string vm;
  bool recalled =
      false;  // The VM wants it back: no new berths until the loan ends or the recall is withdrawn.
  bool operator==(const Loan&) const = default;
};

struct State {
  std::vector<Gpu> gpus;      // In index order.
  std::vector<Berth> berths;  // In id order.
  std::vector<Loan> loans;    // By UUID; at most one for a GPU.
  Kubernetes kubernetes;
  std::int64_t next_berth = 1;
  bool operator==(const State&) const = default;
};

/// The names the API, the CLI and the database spell these with; the inverse is nullopt-like by `ok`.
std::string_view name(OwnerKind kind);   // "free", "vm", "kubernetes", "local", "quarantined", "moving"
std::string_view name(Mode mode);        // "exclusive", "timeslice", "mps"
std::string_view name(Rung rung);        // "dmem", "mps-v3", "mps-v2", "guard", "none"
std::string_view name(Health health);    // "ok", "unhealthy", "lost"
std::string_view name(HolderKind kind);  // "vm", "reservation", "container"

/// The value of that name; false leaves `out` alone.
bool fromName(std::string_view name, OwnerKind& out);
bool fromName(std::string_view name, Mode& out);
bool fromName(std::string_view name, Rung& out);
bool fromName(std::string_view name, Health& out);
bool fromName(std::string_view name, HolderKind& out);

const Gpu* findGpu(const State& state, const GpuUuid& uuid);
Gpu* findGpu(State& state, const GpuUuid& uuid);
/// Finds by what people type: an index ("0"), a UUID, a unique start of a UUID of at least 8 characters, or a
/// PCI address; nullptr when there is none.
const Gpu* findGpuByText(const State& state, std::string_view text);
std::vector<const Berth*> berthsOn(const State& state, const GpuUuid& uuid);
/// The loan of a GPU; nullptr: it is not lent.
const Loan* loanOf(const State& state, const GpuUuid& uuid);

}  // namespace berth::ledger
