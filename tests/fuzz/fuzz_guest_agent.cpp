// Property: a guest is not to be trusted, and its agent may answer anything, in any order: the daemon does
// not crash, each call succeeds or fails as its contract says, and base64 that is accepted is what the bytes
// encode to.
//
// Input: the agent's answers, separated by line ends; the last one again and again.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/text.h"
#include "vm/fake_hypervisor.h"
#include "vm/guest_agent.h"

namespace {

using namespace berth::vm;  // NOLINT(google-build-using-namespace): a program, not a header

/// Refused by the guest, not in time, or not the protocol.
template <typename T>
void checkError(const berth::Result<T>& result) {
  using berth::ErrorCode;
  if (result) return;
  const ErrorCode code = result.error().code;
  if (code != ErrorCode::Conflict && code != ErrorCode::Timeout && code != ErrorCode::Corrupt) std::abort();
}

void checkBase64(std::string_view text) {
  const auto bytes = base64Decode(text);
  if (bytes && base64Decode(base64Encode(*bytes)) != bytes) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const auto answers = berth::split(input, '\n');
  std::size_t next = 0;
  FakeHypervisor hypervisor;
  const VmName name("vm1");
  hypervisor.domains[name].agent = [&](const std::string& /*command*/) -> berth::Result<std::string> {
    return answers[std::min(next++, answers.size() - 1)];
  };
  GuestAgent agent(hypervisor, name);
  const auto now = std::chrono::steady_clock::now();  // No patience: nothing waits.
  checkError(agent.ping(now));
  checkError(agent.exec({"/bin/true"}, "in", now));
  checkError(agent.writeFile("/tmp/x", "content", now));
  for (const std::string& answer : answers) checkBase64(answer);
  return 0;
}
