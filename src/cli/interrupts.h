// Ctrl-C as a stop token: signals are read on a thread of their own, nothing runs in a signal handler.
#pragma once

#include <stop_token>
#include <thread>

#include "os/unique_fd.h"

namespace berth::cli {

/// From its construction on SIGINT and SIGTERM ask token() to stop instead of ending the process. Made before
/// any other thread is.
class Interrupts {
 public:
  Interrupts();
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;
  ~Interrupts();

  std::stop_token token() const { return source_.get_token(); }

 private:
  void watch();

  std::stop_source source_;
  os::UniqueFd signals_;
  os::UniqueFd finish_;
  std::thread thread_;
};

}  // namespace berth::cli
