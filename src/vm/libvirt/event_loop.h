// libvirt's event loop on a thread of its own. Its registration is process-wide (libvirt's,
// virEventRegisterDefaultImpl) and comes before the first connection.
#pragma once

#include <atomic>
#include <memory>
#include <thread>

#include "base/error.h"

namespace berth::vm::libvirt {

/// Runs until destroyed, which joins the thread. At most one at a time in a process.
class EventLoop {
 public:
  static Result<std::unique_ptr<EventLoop>> create();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;
  ~EventLoop();

 private:
  EventLoop() = default;

  int timer_ = -1;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace berth::vm::libvirt
