// Who gets which GPU: a pure function over plain values.
//
// decide() looks at the state and one request and returns either a plan or a refusal made of reasons (rule
// B17). It does no I/O, keeps nothing and asks no clock; the service carries plans out and the ledger
// remembers them. Placement among several possible GPUs is best fit with least new fragmentation (the FGD
// measure, Weng et al., USENIX ATC'23; placement.h has its exact form here).
#pragma once

#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "base/error.h"
#include "base/types.h"
#include "ledger/state.h"

namespace berth::arbiter {

class Occupancy;

/// `appliance` follows every A rule; `elastic` changes A5 into B5.
enum class Arbitration : std::uint8_t { Appliance, Elastic };

/// Which rungs this box has; what B15 is decided by.
struct Capabilities {
  bool dmem = false;
  bool mps_v3 = false;
  bool mps_v2 = true;
  bool guard = false;
};

struct Policy {
  Arbitration arbitration = Arbitration::Appliance;
  Capabilities capabilities;
  int mps_client_limit = 48;  // Berths per GPU under MPS (peers.md 3.4).
};

/// A VM's or a reservation's whole GPUs (A2). Already granted to this holder: an empty plan; another number
/// of them granted: Conflict, reason AlreadyGranted, unless `resize`, which grows or shrinks to the number. A
/// VM takes over what a reservation of its name holds, as far as it needs it, and before that what it lent
/// (B7), from kubernetes too; its loans end.
struct ClaimWholeGpus {
  ledger::Holder holder;
  int count = 0;
  bool resize = false;
};

/// B7: gives up what the VM holds as ReleaseHolder does, but keeps a loan on each GPU: no other VM or
/// reservation gets it. Nothing held: an empty plan.
struct LendHeld {
  ledger::Holder holder;
};

/// B7: from now on the VM's lent GPUs give no new berths (or, with `recall` false, they do again). An empty
/// plan when that is so already.
struct RecallLent {
  ledger::Holder holder;
  bool recall = true;
};

/// What one container asks for; at most one of `whole`, `named` and a share.
struct ContainerClaim {
  ledger::Holder holder;
  int whole = 0;              // A12: N whole GPUs, exclusively.
  std::string named;          // A10: one GPU by index or UUID, or "all" (refused when there are several).
  Percent thread_percentage;  // A11: only has an effect where the GPU is in mode mps.
  Percent compute;            // B14, counted; 0: none.
  MiB memory;                 // B14, counted; 0: none.
  bool best_effort = false;   // B15
  bool other_user = false;    // Its programs run as another user than root, whose MPS server each GPU has.
  std::string place;          // Where in the input it stands, for messages: "pods.yaml:12: container c".
};

/// Containers that are placed together or not at all, granted in this order. Those that name a GPU choose
/// first, then those that want whole ones, so that the order in a file does not decide whether all fit. A
/// container that asks for nothing gets nothing. A holder that has berths already is Conflict, reason
/// AlreadyGranted.
struct ClaimContainers {
  std::vector<ContainerClaim> containers;
};

/// Gives back everything `holder` has, loans included. Nothing held: an empty plan. A GPU whose last berth
/// ends goes from local to free, from vm to free, and stays with kubernetes. Conflict, reason GpuMoving,
/// while one of its GPUs changes hands.
struct ReleaseHolder {
  ledger::Holder holder;
};

struct EnableKubernetes {};  // A3. Enabled already: claims what is free now.
struct DisableKubernetes {
};  // Idle GPUs become free; those with Berth's containers become local and keep them.
/// B9: takes idle GPUs from kubernetes; empty `gpu` means all idle ones, with a warning for each one in use.
/// Refused for a GPU in use or of another owner; a free one is an empty plan.
struct ReleaseFromKubernetes {
  std::optional<GpuUuid> gpu;
};

/// B16. Refused while berths are on the GPU unless `restart` (the service restarts their containers), and for
/// a VM's GPU. Same mode: an empty plan. `exclusive` needs at most one berth even with `restart`. Berths
/// whose rung is another one in the new mode are revoked and granted again under the same id; a limit that
/// the new mode cannot enforce is refused (B15).
struct SetMode {
  GpuUuid gpu;
  ledger::Mode mode = ledger::Mode::TimeSlice;
  bool restart = false;
  /// Containers whose programs run as another user than root: MPS would not take them.
  std::set<ledger::Holder> other_users = {};
};

/// Another share for a container that holds one; nullopt: that limit stays.
struct ShareChange {
  ledger::Holder holder;
  std::optional<Percent> compute;  // 1 to 100.
  std::optional<MiB> memory;       // 1 at least.
  std::string place;               // For messages; empty: the holder's name.
};

/// Changes shares of running containers, all of them or none. Berths are revoked and granted again under the
/// same id. Refused when the sums pass the GPU (B14), a limit cannot be enforced that could before (B15), or
/// a limit is MPS's, which holds from a container's start on, and `restart` does not say that the containers
/// may be started anew. NotFound: no berth; Refused, reason NoShare: a whole GPU or one without a limit.
struct ChangeShares {
  std::vector<ShareChange> shares;
  bool restart = false;
};

using Request =
    std::variant<ClaimWholeGpus, ClaimContainers, ReleaseHolder, EnableKubernetes, DisableKubernetes,
                 ReleaseFromKubernetes, SetMode, ChangeShares, LendHeld, RecallLent>;

struct ChangeOwner {
  GpuUuid gpu;
  ledger::Owner from;
  ledger::Owner to;
  bool operator==(const ChangeOwner&) const = default;
};
struct Grant {
  ledger::Berth berth;  // With its id.
  bool operator==(const Grant&) const = default;
};
struct Revoke {
  ledger::Berth berth;
  bool operator==(const Revoke&) const = default;
};
struct ChangeMode {
  GpuUuid gpu;
  ledger::Mode from = ledger::Mode::TimeSlice;
  ledger::Mode to = ledger::Mode::TimeSlice;
  bool restart_containers = false;
  bool operator==(const ChangeMode&) const = default;
};
struct ChangeKubernetes {
  ledger::Kubernetes from;
  ledger::Kubernetes to;
  bool operator==(const ChangeKubernetes&) const = default;
};
/// A loan begins (no `from`), ends (no `to`) or is recalled.
struct ChangeLoan {
  std::optional<ledger::Loan> from;
  std::optional<ledger::Loan> to;
  bool operator==(const ChangeLoan&) const = default;
  const GpuUuid& gpu() const { return from ? from->gpu : to->gpu; }
};
using Change = std::variant<ChangeOwner, Grant, Revoke, ChangeMode, ChangeKubernetes, ChangeLoan>;

/// What to do, in order, and what to tell the caller besides.
struct Plan {
  std::vector<Change> changes;
  std::vector<std::string>
      warnings;  // "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE has no effect: GPU 0 is in mode timeslice"
};

/// A plan, or an Error with code Refused, a stable `reason` (reasons.h) and one detail for every GPU
/// considered: who holds it and what would free it. Requests that can never succeed are InvalidArgument
/// (count < 0), unknown GPUs Refused with reason UnknownGpu.
Result<Plan> decide(const ledger::State& state, const Request& request, const Policy& policy);

/// The same answer without walking the berths. Precondition: `occupancy` is the one of `state`.
Result<Plan> decide(const ledger::State& state, const Occupancy& occupancy, const Request& request,
                    const Policy& policy);

/// The state after the plan. Precondition: the plan was decided for `state`.
ledger::State apply(ledger::State state, const Plan& plan);

/// One line for people: "GPU 0 (Tesla T4): free -> vm vm1".
std::string describe(const Change& change, const ledger::State& state);

/// Why `state` breaks A1 (two owners, berths that do not fit their owner, whole and shared together, sums
/// over the GPU's size), or empty. Tests and the start-up check use it.
std::string violation(const ledger::State& state);

}  // namespace berth::arbiter
