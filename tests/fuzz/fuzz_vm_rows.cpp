// Property: whatever a ledger holds in a VM's row, reading it does not crash, and what is accepted is written
// back as the same VM. The input is the row's spec, a NUL, its addresses, a NUL, its error.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/text.h"
#include "service/vm_rows.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): bytes as text.
  const std::string text(reinterpret_cast<const char*>(data), size);
  std::vector<std::string> parts = berth::split(text, '\0');
  parts.resize(3);
  berth::ledger::VmRecord row;
  row.name = "vm1";
  row.uuid = "uuid";
  row.spec = parts[0];
  row.desired = "running";
  row.power = "PowerState/running";
  row.provisioning = "Succeeded";
  row.policy = "hold";
  row.addresses = parts[1].empty() ? "[]" : parts[1];
  row.error = parts[2];
  const auto vm = berth::service::fromRow(row);
  if (!vm) return 0;
  const auto again = berth::service::fromRow(berth::service::toRow(*vm));
  if (!again || *again != *vm) std::abort();
  return 0;
}
