#include "shared_event.h"

#include <cerrno>
#include <csignal>
#include <ctime>

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace berth::sim::cu {
namespace {

constexpr long kLookAgainNs = 50'000'000;  // For a recorder that died

long futex(std::atomic<std::uint32_t>& word, int operation, std::uint32_t value, const timespec* timeout) {
  return ::syscall(SYS_futex, &word, operation, value, timeout, nullptr, 0);
}

}  // namespace

std::shared_ptr<SharedEvent> SharedEvent::make() {
  std::optional<UniqueFd> file = makeMemoryFile(kEventFile, kPageBytes);
  return file ? open(*std::move(file)) : nullptr;
}

std::shared_ptr<SharedEvent> SharedEvent::open(UniqueFd file) {
  if (sizeOfMemoryFile(file.get(), kEventFile) != kPageBytes) return nullptr;
  std::optional<Mapping> mapping = mapShared(file.get(), 0, kPageBytes);
  if (!mapping) return nullptr;
  return std::shared_ptr<SharedEvent>(new SharedEvent(std::move(file), *std::move(mapping)));
}

std::uint64_t SharedEvent::record() {
  page().recorder = ::getpid();
  return page().recorded.fetch_add(1) + 1;
}

void SharedEvent::complete(std::uint64_t number) {
  std::uint64_t known = page().completed.load();
  while (known < number && !page().completed.compare_exchange_weak(known, number)) continue;
  page().wake.fetch_add(1);
  futex(page().wake, FUTEX_WAKE, ~0U >> 1, nullptr);
}

bool SharedEvent::done() const { return page().completed.load() >= page().recorded.load(); }

CUresult SharedEvent::wait() const {
  const std::uint64_t number = page().recorded.load();
  while (true) {
    const std::uint32_t seen = page().wake.load();
    if (page().completed.load() >= number) return CUDA_SUCCESS;
    const pid_t recorder = page().recorder.load();
    if (recorder <= 0 || (::kill(recorder, 0) != 0 && errno == ESRCH)) return CUDA_ERROR_LAUNCH_FAILED;
    const timespec timeout{0, kLookAgainNs};
    futex(page().wake, FUTEX_WAIT, seen, &timeout);
  }
}

}  // namespace berth::sim::cu
