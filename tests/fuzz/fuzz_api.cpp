// Property: whatever body and query a caller who may do everything sends to any route, the answer is no
// server error, a refusal says why, and a dry run changes nothing.
//
// Input: the route ("PUT /api/v1/gpus/{id}/mode"), a line that is the value of every query parameter, and the
// body. Names in the path are GPU 0's index and a workload's name.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/json.hpp>

#include "api/api_testing.h"
#include "api/routes.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "container/fake_engine.h"
#include "fuzz_directory.h"
#include "http/dispatch.h"
#include "http/error_mapping.h"
#include "ledger/ledger.h"
#include "os/process.h"
#include "service/extension_service.h"
#include "service/fake_vm_files.h"
#include "service/vm_service.h"
#include "vm/fake_hypervisor.h"

namespace {

using namespace berth;  // NOLINT(google-build-using-namespace): a program, not a header

void require(bool holds) {
  if (!holds) std::abort();
}

class OwnerOnly final : public http::Authenticator {
 public:
  Result<http::Principal> authenticate(const http::Peer& /*peer*/,
                                       const http::Headers& /*headers*/) const override {
    return http::Principal{"fuzz", http::Role::Owner};
  }
};

ledger::Gpu gpuAt(int index) {
  ledger::Gpu gpu;
  gpu.index = index;
  gpu.uuid = GpuUuid("GPU-0000000" + std::to_string(index));
  gpu.pci = PciAddress("0000:0" + std::to_string(index) + ":00.0");
  gpu.name = "Tesla T4";
  gpu.memory = MiB{15360};
  return gpu;
}

/// A service on two GPUs with a ledger of its own.
class Device {
 public:
  Device() {
    engine_.addImage("image");
    live_.driver_info = gpu::DriverInfo{"550.54.15", "12.4", true};
    require(desk_
                ->change([](service::Draft& draft) -> Result<void> {
                  draft.putGpu(gpuAt(0));
                  draft.putGpu(gpuAt(1));
                  return {};
                })
                .has_value());
  }
  const std::vector<http::Route>& routes() const { return routes_; }
  std::shared_ptr<const service::Book> book() const { return desk_->book(); }

 private:
  fuzz::Directory directory_;
  SystemClock clock_;
  container::FakeEngine engine_;
  std::unique_ptr<ledger::Ledger> ledger_ = std::move(ledger::Ledger::open(directory_.path())).value();
  std::unique_ptr<service::Desk> desk_ = std::move(service::Desk::open(*ledger_, clock_, {})).value();
  service::Service service_{*desk_, engine_};
  vm::FakeHypervisor hypervisor_;
  service::testing::FakeVmFiles files_;
  service::VmService vms_{{*desk_, hypervisor_, files_, {}, {}, {}, [] { return std::string("uuid"); }}};
  os::PosixProcessRunner runner_;
  service::ExtensionService extensions_{
      {*desk_, hypervisor_, runner_, "/nonexistent", {}, {}, {}, [](const std::string&, auto) {}}};
  api::testing::NoLiveData live_;
  api::testing::CountingSimulation simulation_;
  std::vector<http::Route> routes_ = api::routes({service_, live_, simulation_, vms_, extensions_});
};

http::ServerRequest requestFor(const http::Route& route, std::string_view value, std::string_view body) {
  http::ServerRequest request;
  request.method = route.method;
  request.path = route.pattern;
  request.params = {{"id", "0"}, {"name", "w"}, {"lun", "0"}, {"extension", "gpu"}};
  for (const http::QueryParameter& parameter : route.query) request.query[parameter.name] = value;
  // Only looks and dry runs, so that each input meets the same device.
  if (request.query.contains("dryRun")) request.query["dryRun"] = "true";
  request.body = body;
  return request;
}

/// Takes the first line off `text`.
std::string_view takeLine(std::string_view& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

void checkRefusal(const http::ServerResponse& response) {
  boost::system::error_code failed;
  const auto error = http::errorFromJson(boost::json::parse(response.body, failed));
  require(!failed && error && !error->message.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Device device;
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  const std::string_view name = takeLine(rest);
  const auto route = std::ranges::find_if(
      device.routes(), [&](const http::Route& each) { return each.method + " " + each.pattern == name; });
  if (route == device.routes().end()) return 0;
  const std::string_view value = takeLine(rest);
  if (!isUtf8(value)) return 0;  // The router's target would have been refused.
  http::ServerRequest request = requestFor(*route, value, rest);
  const auto before = device.book();
  const http::ServerResponse response = http::dispatch(*route, OwnerOnly(), {}, request);
  require(response.status < 500 && device.book() == before);
  if (response.status >= 400) checkRefusal(response);
  return 0;
}
