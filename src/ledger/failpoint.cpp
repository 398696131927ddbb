#include "ledger/failpoint.h"

#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string_view>

#include "base/text.h"

namespace berth::ledger {
namespace {

class KillAt final : public FailPoint {
 public:
  explicit KillAt(std::int64_t number) : number_(number) {}
  void cross(std::string_view /*name*/, std::int64_t number) override {
    if (number == number_) std::raise(SIGKILL);
  }

 private:
  std::int64_t number_;
};

}  // namespace

std::unique_ptr<FailPoint> failPointFromEnvironment() {
  const char* value = std::getenv("BERTH_FAILPOINT");
  if (value == nullptr) return nullptr;
  const auto number = parseWholeNumber(value);
  if (!number || *number == 0) return nullptr;
  return std::make_unique<KillAt>(*number);
}

}  // namespace berth::ledger
