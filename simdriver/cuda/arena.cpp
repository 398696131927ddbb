#include "arena.h"

#include <array>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::sim::cu {
namespace {

constexpr int kSizeSeals = F_SEAL_SHRINK | F_SEAL_GROW;

}  // namespace

Mapping::Mapping(Mapping&& other) noexcept
    : base_(std::exchange(other.base_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  std::swap(base_, other.base_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

Mapping::~Mapping() {
  if (base_ != nullptr) ::munmap(base_, bytes_);
}

std::optional<Mapping> mapShared(int fd, std::uint64_t offset, std::size_t bytes) {
  void* base = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd,
                      static_cast<off_t>(offset));
  if (base == MAP_FAILED) return std::nullopt;
  ::madvise(base, bytes, MADV_DONTDUMP);
  return Mapping(base, bytes);
}

std::optional<UniqueFd> makeMemoryFile(const char* name, std::uint64_t bytes) {
  UniqueFd file(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file.valid() || ::ftruncate(file.get(), static_cast<off_t>(bytes)) != 0) return std::nullopt;
  if (::fcntl(file.get(), F_ADD_SEALS, kSizeSeals | F_SEAL_SEAL) != 0) return std::nullopt;
  return file;
}

std::optional<std::uint64_t> sizeOfMemoryFile(int fd, const char* name) {
  const int seals = ::fcntl(fd, F_GET_SEALS);
  if (seals < 0 || (seals & kSizeSeals) != kSizeSeals) return std::nullopt;
  std::array<char, 128> link{};
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t length = ::readlink(path.c_str(), link.data(), link.size());
  const std::string wanted = std::string("/memfd:") + name + " (deleted)";
  if (length < 0 || std::string_view(link.data(), static_cast<std::size_t>(length)) != wanted)
    return std::nullopt;
  struct stat status{};
  if (::fstat(fd, &status) != 0 || status.st_size <= 0) return std::nullopt;
  return static_cast<std::uint64_t>(status.st_size);
}

std::size_t roundUp(std::size_t value, std::size_t step) { return (value + step - 1) / step * step; }

std::unique_ptr<Arena> Arena::make(std::size_t bytes) {
  for (; bytes >= kLeastBytes; bytes /= 2) {
    std::optional<UniqueFd> file = makeMemoryFile(kArenaFile, bytes);
    if (!file) continue;
    std::optional<Mapping> map = mapShared(file->get(), 0, bytes);
    if (map) return std::unique_ptr<Arena>(new Arena(*std::move(file), *std::move(map)));
  }
  return nullptr;
}

Arena::Arena(UniqueFd file, Mapping map) : file_(std::move(file)), map_(std::move(map)) {
  free_.emplace(0, map_.size());
}

std::byte* Arena::allocate(std::size_t bytes, std::size_t alignment) {
  if (bytes == 0 || bytes > map_.size()) return nullptr;
  bytes = roundUp(bytes, kDeviceAlignment);
  const std::lock_guard lock(mutex_);
  for (auto range = free_.begin(); range != free_.end(); ++range) {
    const auto [offset, length] = *range;
    const std::size_t start = roundUp(offset, alignment);
    const std::size_t skipped = start - offset;
    if (length < skipped || length - skipped < bytes) continue;
    free_.erase(range);
    if (skipped != 0) free_.emplace(offset, skipped);
    if (length - skipped != bytes) free_.emplace(start + bytes, length - skipped - bytes);
    return map_.data() + start;
  }
  return nullptr;
}

void Arena::free(std::byte* address, std::size_t bytes) {
  bytes = roundUp(bytes, kDeviceAlignment);
  const std::size_t start = offsetOf(address);
  // Only whole pages can go back to the system; the rest is overwritten by its next owner.
  const std::size_t first_page = roundUp(start, kPageBytes);
  const std::size_t end_page = (start + bytes) / kPageBytes * kPageBytes;
  if (end_page > first_page) ::madvise(map_.data() + first_page, end_page - first_page, MADV_REMOVE);
  const std::lock_guard lock(mutex_);
  auto range = free_.emplace(start, bytes).first;
  if (const auto after = std::next(range); after != free_.end() && start + bytes == after->first) {
    range->second += after->second;
    free_.erase(after);
  }
  if (range == free_.begin()) return;
  const auto before = std::prev(range);
  if (before->first + before->second != range->first) return;
  before->second += range->second;
  free_.erase(range);
}

bool Arena::contains(const void* address) const noexcept {
  const auto* byte = static_cast<const std::byte*>(address);
  return byte >= map_.data() && byte < map_.data() + map_.size();
}

std::uint64_t Arena::offsetOf(const std::byte* address) const noexcept {
  return static_cast<std::uint64_t>(address - map_.data());
}

}  // namespace berth::sim::cu
