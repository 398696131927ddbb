// Property: whatever an answer holds where an error should be, reading it does not crash, and the error that
// is read comes back from its own JSON as it was.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include <boost/json.hpp>

#include "http/error_mapping.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  boost::system::error_code failed;
  const auto value = boost::json::parse(std::string_view(reinterpret_cast<const char*>(data), size), failed);
  if (failed) return 0;
  const auto error = berth::http::errorFromJson(value);
  if (!error) return 0;
  const auto again = berth::http::errorFromJson(berth::http::toErrorBody(*error));
  if (!again || berth::http::toJson(*again) != berth::http::toJson(*error)) std::abort();
  return 0;
}
