#include "http/unix_listener.h"

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <optional>
#include <utility>

#include <fcntl.h>
#include <grp.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace berth::http {
namespace {

constexpr mode_t kSocketMode = 0660;
constexpr int kBacklog = 128;
constexpr const char* kNewSuffix = ".new";

Result<sockaddr_un> addressOf(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return fail(ErrorCode::InvalidArgument,
                "socket path " + path + " is empty or too long for a unix socket");
  }
  std::memcpy(&address.sun_path[0], path.c_str(), path.size() + 1);
  return address;
}

Result<os::UniqueFd> newSocket() {
  os::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return fail(errnoError(errno, "socket", ""));
  return fd;
}

template <typename Call>
Result<void> withAddress(const std::string& path, std::string_view call_name, Call call) {
  TRY(const sockaddr_un address, addressOf(path));
  if (call(reinterpret_cast<const sockaddr*>(&address), socklen_t{sizeof address}) == 0) return {};
  return fail(errnoError(errno, call_name, path));
}

Result<os::UniqueFd> lockName(const std::string& path) {
  const std::string lock_path = path + ".lock";
  os::UniqueFd lock(::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock.valid()) return fail(errnoError(errno, "open", lock_path));
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) == 0) return lock;
  if (errno != EWOULDBLOCK) return fail(errnoError(errno, "flock", lock_path));
  return fail(ErrorCode::Conflict, "another daemon serves " + path);
}

/// Fine: nothing there, or a socket whose owner is gone.
Result<void> checkReplaceable(const std::string& path) {
  struct stat info{};
  if (::lstat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return {};
    return fail(errnoError(errno, "lstat", path));
  }
  if (!S_ISSOCK(info.st_mode)) return fail(ErrorCode::Conflict, path + " exists and is not a socket");
  TRY(const os::UniqueFd probe, newSocket());
  int refused = 0;
  static_cast<void>(withAddress(path, "connect", [&](const sockaddr* address, socklen_t size) {
    const int connected = ::connect(probe.get(), address, size);
    refused = errno == ECONNREFUSED ? connected : 0;
    return connected;
  }));
  if (refused != 0) return {};
  return fail(ErrorCode::Conflict, "another program serves " + path);
}

Result<std::optional<gid_t>> groupId(const std::string& group) {
  if (group.empty()) return std::optional<gid_t>();
  ::group entry{};
  ::group* found = nullptr;
  std::array<char, 16384> buffer{};
  const int error = ::getgrnam_r(group.c_str(), &entry, buffer.data(), buffer.size(), &found);
  if (found == nullptr) {
    return fail(error == 0 ? ErrorCode::InvalidArgument : ErrorCode::Io, "no group named " + group);
  }
  return std::optional<gid_t>(found->gr_gid);
}

/// Binds at `path`, which nobody else uses, and makes it ready to be renamed into place.
Result<void> prepare(int fd, const std::string& path, std::optional<gid_t> group) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return fail(errnoError(errno, "unlink", path));
  TRY_VOID(withAddress(path, "bind",
                       [fd](const sockaddr* address, socklen_t size) { return ::bind(fd, address, size); }));
  if (group && ::chown(path.c_str(), static_cast<uid_t>(-1), *group) != 0) {
    return fail(errnoError(errno, "chown", path));
  }
  if (::chmod(path.c_str(), kSocketMode) != 0) return fail(errnoError(errno, "chmod", path));
  if (::listen(fd, kBacklog) != 0) return fail(errnoError(errno, "listen", path));
  return {};
}

ino_t inodeOf(const std::string& path) {
  struct stat info{};
  return ::lstat(path.c_str(), &info) == 0 ? info.st_ino : 0;
}

}  // namespace

UnixListener::UnixListener(std::string path, os::UniqueFd lock, os::UniqueFd socket, ino_t inode)
    : path_(std::move(path)), lock_(std::move(lock)), socket_(std::move(socket)), inode_(inode) {}

UnixListener::UnixListener(UnixListener&& other) noexcept
    : path_(std::exchange(other.path_, {})),
      lock_(std::move(other.lock_)),
      socket_(std::move(other.socket_)),
      inode_(other.inode_) {}

UnixListener::~UnixListener() {
  if (!path_.empty() && inodeOf(path_) == inode_) ::unlink(path_.c_str());
}

Result<UnixListener> listenUnix(const std::string& path, const std::string& group) {
  const std::string fresh = path + kNewSuffix;
  TRY_VOID(addressOf(fresh));
  TRY(const std::optional<gid_t> gid, groupId(group));
  TRY(os::UniqueFd lock, lockName(path));
  TRY_VOID(checkReplaceable(path));
  TRY(os::UniqueFd socket, newSocket());
  Result<void> ready = prepare(socket.get(), fresh, gid);
  if (ready && ::rename(fresh.c_str(), path.c_str()) != 0) ready = fail(errnoError(errno, "rename", fresh));
  if (!ready) {
    ::unlink(fresh.c_str());
    return fail(std::move(ready).error());
  }
  const ino_t inode = inodeOf(path);
  return UnixListener(path, std::move(lock), std::move(socket), inode);
}

}  // namespace berth::http
