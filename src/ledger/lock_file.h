// One process per state directory: an flock on a file that also says who holds it.
#pragma once

#include <string>

#include "base/error.h"

namespace berth::ledger {

/// Held as long as it lives; the kernel lets go when the process ends, however it ends.
class LockFile {
 public:
  /// Conflict: held by another process, whose pid the message names.
  static Result<LockFile> acquire(const std::string& path);

  LockFile(LockFile&& other) noexcept;
  LockFile(const LockFile&) = delete;
  LockFile& operator=(const LockFile&) = delete;
  ~LockFile();

 private:
  explicit LockFile(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace berth::ledger
