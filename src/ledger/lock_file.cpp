#include "ledger/lock_file.h"

#include <array>
#include <cerrno>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"

namespace berth::ledger {
namespace {

constexpr mode_t kOwnerOnly = 0600;

std::string pidIn(int fd) {
  std::array<char, 32> text{};
  const ssize_t length = ::pread(fd, text.data(), text.size(), 0);
  if (length <= 0) return "unknown";
  return std::string(trim(std::string_view(text.data(), static_cast<std::size_t>(length))));
}

Result<void> writePid(int fd, const std::string& path) {
  const std::string text = std::to_string(::getpid()) + "\n";
  if (::ftruncate(fd, 0) != 0) return fail(errnoError(errno, "ftruncate", path));
  if (::pwrite(fd, text.data(), text.size(), 0) < 0) return fail(errnoError(errno, "write", path));
  return {};
}

}  // namespace

Result<LockFile> LockFile::acquire(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, kOwnerOnly);
  if (fd < 0) return fail(errnoError(errno, "open", path));
  LockFile lock(fd);
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return fail(errnoError(errno, "flock", path));
    return fail(ErrorCode::Conflict, path + " is held by process " + pidIn(fd));
  }
  TRY_VOID(writePid(fd, path));
  return lock;
}

LockFile::LockFile(LockFile&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

LockFile::~LockFile() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace berth::ledger
