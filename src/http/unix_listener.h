// A listening unix socket that appears whole or not at all, and that two daemons cannot take from each other.
#pragma once

#include <string>

#include <sys/types.h>

#include "base/error.h"
#include "os/unique_fd.h"

namespace berth::http {

/// Owns the socket and, through a lock file beside it, its name. Removes the socket (not the lock file, which
/// is what makes taking over safe) when it goes.
class UnixListener {
 public:
  UnixListener(const UnixListener&) = delete;
  UnixListener& operator=(const UnixListener&) = delete;
  UnixListener(UnixListener&&) noexcept;
  UnixListener& operator=(UnixListener&&) = delete;
  ~UnixListener();

  int fd() const { return socket_.get(); }

 private:
  friend Result<UnixListener> listenUnix(const std::string& path, const std::string& group);
  UnixListener(std::string path, os::UniqueFd lock, os::UniqueFd socket, ino_t inode);

  std::string path_;
  os::UniqueFd lock_;
  os::UniqueFd socket_;
  ino_t inode_;  // Of the socket file, so that only our own is removed.
};

/// Listens at `path` with mode 0660 and `group` (empty: the process's). A socket nobody listens on is
/// replaced. Conflict: someone does, or `path` is something else. InvalidArgument: no such group, or `path`
/// is too long.
Result<UnixListener> listenUnix(const std::string& path, const std::string& group);

}  // namespace berth::http
