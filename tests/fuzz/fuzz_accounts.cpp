// Property: whatever the accounts' file holds, reading it does not crash, and what is accepted comes back
// from its own text as it was.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "auth/accounts.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto book = berth::auth::AccountBook::parse({reinterpret_cast<const char*>(data), size});
  if (!book) return 0;
  const auto again = berth::auth::AccountBook::parse(book->serialize());
  if (!again || !(*again == *book)) std::abort();
  return 0;
}
