// Property: no file that a bundle names, or has a checksum for, leaves the bundle's folder or can be taken
// for an option or a piece of a command; and what a guest answers never breaks its reader.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "vm/extension/bundle.h"
#include "vm/extension/runner.h"

namespace {

void checkName(const std::string& name) {
  if (name.empty() || name.front() == '-' || name.front() == '.') std::abort();
  if (name.find_first_of("/\\ \t\n\"'$`;&|<>") != std::string::npos) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace berth::vm::extension;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (const auto sums = parseChecksums(bytes)) {
    for (const Checksum& sum : *sums) checkName(sum.file);
  }
  if (const auto bundle = parseBundle(bytes, "b")) {
    checkName(bundle->install);
    if (!bundle->verify.empty()) checkName(bundle->verify);
    if (!bundle->remove.empty()) checkName(bundle->remove);
  }
  static_cast<void>(parseOsInfo(bytes));
  static_cast<void>(seesGpu(parseReport(bytes), {{0x1234, 0x11e8}}));
  return 0;
}
