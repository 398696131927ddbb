#include "vm/libvirt/event_loop.h"

#include <csignal>

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include "vm/libvirt/handles.h"

namespace berth::vm::libvirt {
namespace {

/// libvirt prints every error on stderr unless it is told not to.
void ignoreError(void* /*data*/, virErrorPtr /*error*/) {}

}  // namespace

Result<std::unique_ptr<EventLoop>> EventLoop::create() {
  static const bool registered = virInitialize() == 0 && virEventRegisterDefaultImpl() == 0;
  if (!registered) return fail(ErrorCode::Internal, "libvirt cannot be initialised");
  virSetErrorFunc(nullptr, ignoreError);
  std::unique_ptr<EventLoop> loop(new EventLoop);
  // A timer that is due at once when the loop must look at stop_; until then it never is.
  loop->timer_ = virEventAddTimeout(-1, [](int /*timer*/, void* /*data*/) {}, nullptr, nullptr);
  if (loop->timer_ < 0) return fail(lastError("virEventAddTimeout", "stop timer"));
  // Signals belong to the main thread.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  loop->thread_ = std::thread([raw = loop.get()] {
    while (!raw->stop_) virEventRunDefaultImpl();
  });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return loop;
}

EventLoop::~EventLoop() {
  if (!thread_.joinable()) return;
  stop_ = true;
  virEventUpdateTimeout(timer_, 0);
  thread_.join();
  virEventRemoveTimeout(timer_);
}

}  // namespace berth::vm::libvirt
