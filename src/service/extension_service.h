// The GPU driver extensions of virtual machines: what is asked for is kept beside the book, one note for each
// VM, and carried out by tend(), which may take minutes and may be cut off by a restart of the daemon at any
// point.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <vector>

#include "base/guarded.h"
#include "gpu/pci.h"
#include "os/process.h"
#include "service/desk.h"
#include "vm/extension/request.h"
#include "vm/extension/runner.h"
#include "vm/hypervisor.h"

namespace berth::service {

/// One extension as users see it: its record, and how far an attempt that goes on has come.
struct ExtensionView {
  vm::extension::Record record;
  int percent = 0;
  std::string message;
};

/// Safe from several threads; tend() of one VM must not overlap with itself.
class ExtensionService {
 public:
  struct Parts {
    Desk& desk;
    vm::Hypervisor& hypervisor;
    os::ProcessRunner& runner;
    std::filesystem::path drivers;      // Bundles, and catalogues as *.json beside them.
    std::vector<gpu::PciId> also_gpus;  // Ids that count as GPUs in a guest besides NVIDIA's.
    std::chrono::milliseconds pause;    // Between two looks at an installer that runs.
    std::stop_token stop;               // Requested: tend() ends soon, what it did goes on at the next start.
    /// Asks for tend(vm) at that time.
    std::function<void(const std::string& vm, std::chrono::steady_clock::time_point when)> again;
  };

  explicit ExtensionService(Parts parts) : parts_(std::move(parts)) {}

  /// NotFound with reason UnknownVm: no such VM, in these and all below.
  Result<std::vector<ExtensionView>> list(const std::string& vm) const;
  /// Adds it, or updates the one of that name; the same request again changes nothing. A request without a
  /// type means the one of the VM's operating system. Errors are check()'s and update()'s; Conflict also: the
  /// VM has another extension of that type.
  Result<ExtensionView> put(const std::string& vm, vm::extension::Request request);
  /// NotFound with reason UnknownExtension, in this and remove(); otherwise retry()'s.
  Result<ExtensionView> retry(const std::string& vm, const std::string& name);
  Result<ExtensionView> remove(const std::string& vm, const std::string& name);

  /// Carries out what the VM's extensions wait for. Blocks for minutes.
  void tend(const std::string& vm);

 private:
  using Record = vm::extension::Record;
  using Records = std::vector<Record>;

  Result<std::shared_ptr<const VmRecord>> vmOf(const std::string& name) const;
  Result<Records> load(const VmRecord& vm) const;
  Result<void> save(const VmRecord& vm, const Records& records);
  Result<ExtensionView> change(const std::string& vm, const std::string& name,
                               const std::function<Result<Record>(const Record&)>& change);
  Result<void> work(const VmRecord& vm, const Record& record);
  Result<void> conclude(const VmRecord& vm, const Record& record, vm::extension::Outcome outcome);
  vm::extension::Offer offer() const;

  struct Step {
    int percent = 0;
    std::string message;
  };

  Parts parts_;
  mutable std::mutex changing_;                 // Held from reading a note to writing it.
  Guarded<std::map<std::string, Step>> steps_;  // Of "<vm>/<extension>", while an attempt goes on.
};

}  // namespace berth::service
