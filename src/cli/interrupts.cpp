#include "cli/interrupts.h"

#include <array>
#include <csignal>
#include <cstdint>

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

namespace berth::cli {

Interrupts::Interrupts() {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGINT);
  ::sigaddset(&set, SIGTERM);
  signals_.reset(::signalfd(-1, &set, SFD_CLOEXEC));
  finish_.reset(::eventfd(0, EFD_CLOEXEC));
  if (!signals_.valid() || !finish_.valid()) return;  // Signals then end the process, as by default.
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  thread_ = std::thread([this] { watch(); });
}

Interrupts::~Interrupts() {
  if (!thread_.joinable()) return;
  const std::uint64_t one = 1;
  // An eventfd takes eight bytes or fails for good; then the signal thread could never be joined.
  if (::write(finish_.get(), &one, sizeof one) != sizeof one) std::terminate();
  thread_.join();
}

void Interrupts::watch() {
  std::array<pollfd, 2> waiting{{{signals_.get(), POLLIN, 0}, {finish_.get(), POLLIN, 0}}};
  for (;;) {
    if (::poll(waiting.data(), waiting.size(), -1) < 0) continue;
    if (waiting[1].revents != 0) return;
    signalfd_siginfo signal{};
    if (::read(signals_.get(), &signal, sizeof signal) == sizeof signal) source_.request_stop();
  }
}

}  // namespace berth::cli
