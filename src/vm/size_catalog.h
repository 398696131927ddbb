// The sizes a VM can have: the appliance's tables (packaging/sizes.json, from the supported-sizes page of
// Azure Stack Edge, Oct 2023, and gpu-virtual-machine-sizes), its custom sizes, and those that users add.
// Pure values.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "vm/custom_sizes.h"
#include "vm/vm_size.h"

namespace berth::vm {

inline constexpr int kMaxSizeVcpus = 1024;
inline constexpr std::int64_t kMaxSizeMemoryMib = std::int64_t{64} * 1024 * 1024;
inline constexpr int kMaxSizeGpus = 64;

/// A value: copy it, change the copy, keep it when the change was stored. Size names are compared without
/// case, as ARM does.
class SizeCatalog {
 public:
  /// Reads a catalogue file's text; `place` names it in errors. InvalidArgument: not JSON of the form
  /// {"sizes": [...]}, a field is missing, unknown or of the wrong type, a number is out of range, or a name
  /// comes twice.
  static Result<SizeCatalog> parse(std::string_view text, std::string_view place);

  const std::vector<VmSize>& all() const { return sizes_; }
  /// nullptr: no size of that name.
  const VmSize* find(std::string_view name) const;

  /// What to show: every size without GPU, and those whose model is fitted (A6). `fitted` holds NVML's name
  /// of each GPU of the box.
  std::vector<VmSize> offered(const std::vector<std::string>& fitted) const;

  /// The size a VM asks for. NotFound (reason UnknownSize): no such name. Refused: the size is of a model
  /// that is not fitted (GpuModelMismatch, A6) or has more GPUs than the box (InsufficientGpu).
  Result<VmSize> choose(std::string_view name, const std::vector<std::string>& fitted) const;

  /// Adds a user size. Conflict: the name is taken. InvalidArgument: a number out of range, a bad name, a GPU
  /// count without a model or the other way round.
  Result<void> add(VmSize size);
  /// Removes a user size. NotFound; Refused: it came with Berth (SizeBuiltin), or a VM has it (SizeInUse).
  Result<void> remove(std::string_view name, const std::set<std::string>& in_use);

  /// The custom sizes that apply to this box, as Get-HcsVMCustomSizes shows them.
  std::vector<CustomSize> customSizes(const std::vector<std::string>& fitted) const;
  /// Set-HcsVMCustomSizes: changes the numbers of the named custom sizes, all or none. InvalidArgument: not a
  /// custom size's name, a number out of range, GpuCount on the size without GPU. Refused: a VM has the size
  /// and its numbers would change (SizeInUse), its model is not fitted (GpuModelMismatch), or GpuCount is
  /// more than the box has (InsufficientGpu).
  Result<void> setCustomSizes(const std::vector<CustomSize>& changes, const std::vector<std::string>& fitted,
                              const std::set<std::string>& in_use);

  /// What differs from the installed catalogue, in the catalogue's form: user sizes and custom sizes. Stored
  /// by the caller and given back to addStored.
  std::string storedText() const;
  /// Takes back what storedText gave. InvalidArgument as parse.
  Result<void> addStored(std::string_view text, std::string_view place);

 private:
  VmSize* findMutable(std::string_view name);

  std::vector<VmSize> sizes_;
};

}  // namespace berth::vm
