#include "os/files.h"

#include <array>
#include <cerrno>
#include <cstdlib>
#include <system_error>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/unique_fd.h"

namespace berth::os {
namespace {

constexpr mode_t kParentMode = 0755;
constexpr std::size_t kChunk = 16384;

Result<void> writeAll(int fd, std::string_view content, const std::string& file) {
  while (!content.empty()) {
    const ssize_t wrote = ::write(fd, content.data(), content.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return fail(errnoError(errno, "write", file));
    content.remove_prefix(static_cast<std::size_t>(wrote));
  }
  return {};
}

Result<void> fillTemporary(int fd, std::string_view content, mode_t mode, const std::string& file) {
  TRY_VOID(writeAll(fd, content, file));
  if (::fchmod(fd, mode) != 0) return fail(errnoError(errno, "fchmod", file));
  if (::fsync(fd) != 0) return fail(errnoError(errno, "fsync", file));
  return {};
}

Result<void> syncDirectory(const std::filesystem::path& directory) {
  const UniqueFd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return fail(errnoError(errno, "open", directory.string()));
  if (::fsync(fd.get()) != 0) return fail(errnoError(errno, "fsync", directory.string()));
  return {};
}

Result<void> makeOne(const std::filesystem::path& path, mode_t mode) {
  if (::mkdir(path.c_str(), mode) == 0 || errno == EEXIST) return {};
  return fail(errnoError(errno, "mkdir", path.string()));
}

Result<void> makeParents(const std::filesystem::path& path) {
  const std::filesystem::path parent = path.parent_path();
  struct stat found{};
  if (parent.empty() || ::stat(parent.c_str(), &found) == 0) return {};
  TRY_VOID(makeParents(parent));
  return makeOne(parent, kParentMode);
}

}  // namespace

Result<std::string> readFile(const std::filesystem::path& path, std::size_t limit) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!fd.valid()) return fail(errnoError(errno, "open", path.string()));
  std::string content;
  std::array<char, kChunk> chunk{};
  for (;;) {
    const ssize_t got = ::read(fd.get(), chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EISDIR) {
      return fail(ErrorCode::InvalidArgument, path.string() + " is a folder");
    }
    if (got < 0) return fail(errnoError(errno, "read", path.string()));
    if (got == 0) return content;
    content.append(chunk.data(), static_cast<std::size_t>(got));
    if (content.size() > limit) {
      return fail(ErrorCode::InvalidArgument,
                  path.string() + " is larger than " + std::to_string(limit) + " bytes");
    }
  }
}

Result<void> writeFileAtomically(const std::filesystem::path& path, std::string_view content, mode_t mode) {
  std::string temporary = path.string() + ".XXXXXX";
  const UniqueFd fd(::mkostemp(temporary.data(), O_CLOEXEC));
  if (!fd.valid()) return fail(errnoError(errno, "create", temporary));
  Result<void> written = fillTemporary(fd.get(), content, mode, temporary);
  if (written && ::rename(temporary.c_str(), path.c_str()) != 0) {
    written = fail(errnoError(errno, "rename", path.string()));
  }
  if (!written) {
    ::unlink(temporary.c_str());
    return written;
  }
  const std::filesystem::path parent = path.parent_path();
  return syncDirectory(parent.empty() ? "." : parent);
}

Result<void> ensureDirectory(const std::filesystem::path& path, mode_t mode) {
  TRY_VOID(makeParents(path));
  TRY_VOID(makeOne(path, mode));
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid() && errno == ENOTDIR) return fail(ErrorCode::Conflict, path.string() + " is not a folder");
  if (!fd.valid()) return fail(errnoError(errno, "open", path.string()));
  if (::fchmod(fd.get(), mode) != 0) return fail(errnoError(errno, "fchmod", path.string()));
  return {};
}

Result<void> removeTree(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (error) return fail(errnoError(error.value(), "remove", path.string()));
  return {};
}

}  // namespace berth::os
