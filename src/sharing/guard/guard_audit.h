// Fail closed: which processes use a GPU in a limited container without the guard having hold of them.
//
// The driver says which processes use a GPU, the container's usage file which have reported in. A program
// that was linked statically, loaded around the preload file or built for another libc never reports, and a
// program that took the place of one that did (exec) has no guard mapped. What a container claims falsely
// about itself lifts its own limit only until this look at what the driver and the kernel say.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "guard/region.h"
#include "os/procfs.h"

namespace berth::sharing {

/// A process that the driver names on a GPU of a limited container.
struct AuditedProcess {
  os::ProcessId id;        // On the host
  os::NamespacePid inner;  // As it reports itself
  std::string executable;
  bool guard_mapped = true;  // The library is in its memory
  bool operator==(const AuditedProcess&) const = default;
};

struct AuditedContainer {
  std::string name;
  std::vector<AuditedProcess> processes;
  std::vector<guard::ProcessUsage> reported;  // Nothing where the usage file is damaged: nobody has.
};

struct Unreported {
  std::string container;
  AuditedProcess process;
  bool operator==(const Unreported&) const = default;
};

/// Whether one of `reported` is this process, and the guard is still in it. Pure.
bool hasReported(const AuditedProcess& process, const std::vector<guard::ProcessUsage>& reported);

/// Remembers since when each process has not reported. One thread.
class GuardAudit {
 public:
  using Time = std::chrono::steady_clock::time_point;

  /// A process may be seen between its first call of the driver and the next look for so long.
  explicit GuardAudit(std::chrono::milliseconds grace) : grace_(grace) {}

  /// One look at all limited containers. Those that have not reported for the grace, each of them once.
  std::vector<Unreported> look(const std::vector<AuditedContainer>& containers, Time now);

 private:
  struct Waiting {
    Time since;
    bool told = false;
  };
  const std::chrono::milliseconds grace_;
  std::map<os::ProcessId, Waiting> waiting_;
};

}  // namespace berth::sharing
