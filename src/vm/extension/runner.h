// Carries an installation out in a guest, through its agent. The installer itself runs on its own in the
// guest and its end is looked for, so neither a long installation nor a restart of the daemon in the middle
// of one is lost: the next run of the same attempt finds it where it is.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "gpu/pci.h"
#include "os/process.h"
#include "vm/extension/choice.h"
#include "vm/extension/request.h"
#include "vm/guest_agent.h"

namespace berth::vm::extension {

/// Called with what is being done and how far it is, 0 to 100.
using Progress = std::function<void(int percent, const std::string& message)>;

struct Job {
  Record record;
  Settings settings;
  std::vector<gpu::PciId> also_gpus;  // Ids that count as GPUs besides NVIDIA's, such as stand-ins.
  Offer offer;
};

/// What the script in the guest answers; untrusted text.
struct GuestReport {
  std::multimap<std::string, std::string> values;
  std::string log;
  /// The first value, or empty.
  std::string value(const std::string& key) const;
};
GuestReport parseReport(std::string_view text);

/// True when the guest sees a GPU: an NVIDIA display controller or an id of `also`.
bool seesGpu(const GuestReport& inspected, const std::vector<gpu::PciId>& also);

/// Where this attempt's files lie in the guest.
std::string attemptFolder(const Record& record);

/// Blocking, for minutes; worker threads. One at a time for a VM.
class Installer {
 public:
  /// All outlive this. `pause` is how long to wait between two looks at a running installer.
  Installer(GuestAgent& agent, os::ProcessRunner& runner, std::chrono::milliseconds pause)
      : agent_(agent), runner_(runner), pause_(pause) {}

  /// Installs, or goes on with what an earlier call of the same attempt began. An outcome in any case that is
  /// about the guest or the driver; an error only where the attempt should be gone on with later:
  /// Unavailable, the hypervisor does not answer.
  Result<Outcome> install(const Job& job, const Progress& progress, Deadline deadline);

  /// Runs the removal program of the bundle that was installed, and removes Berth's files from the guest. A
  /// driver that did not come from a bundle, or from one without such a program, stays; the outcome says so.
  Result<Outcome> remove(const Job& job, const Progress& progress, Deadline deadline);

 private:
  struct Ended {
    int code = 0;
    std::string log;
  };

  Result<GuestReport> call(GuestOs os, const std::vector<std::string>& arguments, Deadline deadline);
  Result<void> putScript(GuestOs os, Deadline deadline);
  Result<GuestReport> inspect(const Job& job, Deadline deadline);
  Result<Choice> chooseFor(const Job& job, Deadline deadline);
  Result<void> copyBundle(const Bundle& bundle, const std::string& folder, const Progress& progress,
                          Deadline deadline);
  Result<std::vector<std::string>> deliver(const Choice& choice, const Job& job, const Progress& progress,
                                           Deadline deadline);
  Result<Ended> await(GuestOs os, const std::string& folder, Deadline deadline);
  Result<Outcome> conclude(const Job& job, const Ended& ended, const Choice& choice, Deadline deadline);
  void note(const Job& job, const Outcome& outcome, Deadline deadline);
  Result<Outcome> installOrFail(const Job& job, const Progress& progress, Deadline deadline);
  Result<Outcome> runRemover(const Job& job, Bundle bundle, const Progress& progress, Deadline deadline);
  Result<Outcome> removeOrFail(const Job& job, const Progress& progress, Deadline deadline);

  GuestAgent& agent_;
  os::ProcessRunner& runner_;
  std::chrono::milliseconds pause_;
};

}  // namespace berth::vm::extension
