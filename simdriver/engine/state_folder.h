// The folder with one state file per GPU: finding them, and making, removing and changing them from outside,
// which is what berth-sim and `berth sim` do.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "engine/layout.h"
#include "engine/state_file.h"

namespace berth::sim {

inline constexpr std::size_t kMaxGpus = 8;

/// $BERTH_SIM_DIR, else /run/berth-sim.
std::filesystem::path stateFolder();

/// All GPUs of the folder whose files can be opened, in PCI order; files that are not ours are passed over.
std::vector<std::shared_ptr<StateFile>> openFolder(const std::filesystem::path& folder,
                                                   Access access = Access::Mapped);

/// The GPUs of `spec`, "t4:2" or "t4,a2:1", one profile for each GPU. InvalidArgument: unknown profile, no
/// number, none or more than eight GPUs.
Result<std::vector<Profile>> parseGpuSpec(std::string_view spec, const std::vector<Profile>& profiles);

/// UUID, PCI address, serial and index of GPU `index` of this kind: always the same.
StateHeader identityOf(const Profile& profile, std::uint32_t index);

/// Makes the folder have exactly these GPUs. One that is there already keeps its file and state; others are
/// removed. Conflict when one to be removed is in use, and nothing has changed then.
Result<void> createGpus(const std::filesystem::path& folder, const std::vector<Profile>& gpus);

/// Removes all state files. Conflict when one is in use.
Result<void> removeGpus(const std::filesystem::path& folder);

/// The GPU named by index or UUID. NotFound.
Result<std::shared_ptr<StateFile>> findGpu(const std::filesystem::path& folder, std::string_view name);

/// "nvidia" or "vfio"; nothing is done where it is so already. Conflict when a process uses the GPU. Bound to
/// vfio it vanishes from NVML.
Result<void> bindGpu(StateFile& gpu, std::string_view driver);

/// A fault on request: {"xid", "N"}, {"lost"}, {"hang"}, {"ecc", "N"}, {"thermal", "CELSIUS"}, {"recovered"}.
/// XID 79 is "lost". InvalidArgument says what is possible.
Result<void> injectFault(StateFile& gpu, const std::vector<std::string>& fault);

}  // namespace berth::sim
