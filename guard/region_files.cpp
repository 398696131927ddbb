#include "guard/region_files.h"

#include <cerrno>
#include <cstring>
#include <span>
#include <string>
#include <utility>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "os/files.h"
#include "os/unique_fd.h"

namespace berth::guard {
namespace {

constexpr auto kRelease = std::memory_order_release;
constexpr mode_t kLimitsMode = 0644;
constexpr mode_t kUsageMode = 0666;
constexpr std::uint32_t kWholeGpu = 1000;

Result<LimitsRegion*> mapLimits(const std::filesystem::path& path) {
  const os::UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  if (!fd.valid()) return fail(errnoError(errno, "open", path.string()));
  struct stat status{};
  if (::fstat(fd.get(), &status) != 0) return fail(errnoError(errno, "fstat", path.string()));
  if (status.st_size != sizeof(LimitsRegion)) {
    return fail(ErrorCode::Corrupt, path.string() + ": not a limits file of this version");
  }
  void* base = ::mmap(nullptr, sizeof(LimitsRegion), PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (base == MAP_FAILED) return fail(errnoError(errno, "mmap", path.string()));
  auto* region = static_cast<LimitsRegion*>(base);
  if (validLimits(*region, sizeof(LimitsRegion))) return region;
  ::munmap(base, sizeof(LimitsRegion));
  return fail(ErrorCode::Corrupt, path.string() + ": not a limits file of this version");
}

/// What LimitsRegion::enforced should be.
std::uint32_t enforcedBy(const LimitsRegion& region) {
  std::uint32_t enforced = 0;
  for (std::size_t i = 0; i < region.gpu_count; ++i) {
    const GpuLimits& gpu = region.gpus[i];
    const std::uint32_t permille = gpu.compute_permille.load();
    if (gpu.memory_bytes.load() != 0) enforced |= kEnforceMemory;
    if (permille != 0 && permille < kWholeGpu) enforced |= kEnforceCompute;
  }
  return enforced;
}

/// The bytes of a new file: `initialise` fills a region of `bytes` zero bytes.
template <typename Region, typename Initialise>
std::string contentOf(std::size_t bytes, Initialise initialise) {
  std::string content(bytes, '\0');
  std::vector<GpuUsage> space(bytes / sizeof(GpuUsage) + 1);  // For its alignment
  auto* region = reinterpret_cast<Region*>(space.data());
  initialise(*region);
  content.assign(reinterpret_cast<const char*>(region), bytes);
  return content;
}

}  // namespace

Result<LimitsFile> LimitsFile::create(const std::filesystem::path& path, const std::vector<GpuUuid>& gpus) {
  std::vector<std::string_view> uuids;
  for (const GpuUuid& gpu : gpus) uuids.emplace_back(gpu.value);
  bool fits = false;
  const std::string content = contentOf<LimitsRegion>(
      sizeof(LimitsRegion), [&](LimitsRegion& region) { fits = initialiseLimits(region, uuids); });
  if (!fits)
    return fail(ErrorCode::InvalidArgument, path.string() + ": the GPUs do not fit into a limits file");
  TRY_VOID(os::writeFileAtomically(path, content, kLimitsMode));
  return open(path);
}

Result<LimitsFile> LimitsFile::open(const std::filesystem::path& path) {
  TRY(LimitsRegion * region, mapLimits(path));
  return LimitsFile(region);
}

LimitsFile::LimitsFile(LimitsFile&& other) noexcept : region_(std::exchange(other.region_, nullptr)) {}

LimitsFile& LimitsFile::operator=(LimitsFile&& other) noexcept {
  std::swap(region_, other.region_);
  return *this;
}

LimitsFile::~LimitsFile() {
  if (region_ != nullptr) ::munmap(region_, sizeof(LimitsRegion));
}

GpuUuid LimitsFile::uuid(std::size_t gpu) const {
  const auto& text = region_->gpus.at(gpu).uuid;
  return GpuUuid(std::string(text.data(), ::strnlen(text.data(), text.size())));
}

GpuShare LimitsFile::share(std::size_t gpu) const {
  const GpuLimits& limits = region_->gpus.at(gpu);
  return {limits.memory_bytes.load(), limits.compute_permille.load(), limits.pacing.load()};
}

void LimitsFile::setShare(std::size_t gpu, const GpuShare& share) {
  GpuLimits& limits = region_->gpus.at(gpu);
  limits.memory_bytes.store(share.memory_bytes, kRelease);
  limits.compute_permille.store(share.compute_permille, kRelease);
  limits.pacing.store(share.pacing, kRelease);
  region_->enforced.store(enforcedBy(*region_), kRelease);
  region_->generation.fetch_add(1, kRelease);
}

void LimitsFile::setFeedback(std::size_t gpu, const GpuFeedback& feedback) {
  GpuLimits& limits = region_->gpus.at(gpu);
  limits.charge_permille.store(feedback.charge_permille, kRelease);
  limits.contenders.store(feedback.contenders, kRelease);
  limits.context_bytes.store(feedback.context_bytes, kRelease);
  limits.turn.store(feedback.turn, kRelease);
}

void LimitsFile::markDead(std::uint32_t slot, const SlotOwner& owner) {
  region_->dead.at(slot).store(owner.word(), kRelease);
}

Result<void> createUsageFile(const std::filesystem::path& path, std::size_t gpu_count) {
  const std::string content = contentOf<UsageRegion>(
      usageBytes(gpu_count), [gpu_count](UsageRegion& region) { initialiseUsage(region, gpu_count); });
  return os::writeFileAtomically(path, content, kUsageMode);
}

Result<std::vector<ProcessUsage>> readUsageFile(const std::filesystem::path& path, std::size_t gpu_count) {
  Result<std::string> copy = os::readFile(path, usageBytes(gpu_count));
  if (!copy && copy.error().code != ErrorCode::InvalidArgument) return fail(std::move(copy).error());
  if (copy) {
    if (auto processes = readUsage(std::as_bytes(std::span(*copy)), gpu_count)) return *std::move(processes);
  }
  return fail(ErrorCode::Corrupt, path.string() + ": the container has damaged its usage file");
}

}  // namespace berth::guard
