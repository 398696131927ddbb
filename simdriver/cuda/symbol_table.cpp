// The table of driver API names. It has a file of its own because it declares the functions without their
// parameters.
#include <algorithm>
#include <iterator>

#include "proc_address.h"

// The functions are only named here, not called: their real parameters do not matter.
// NOLINTBEGIN(bugprone-macro-parentheses): the macros make declarations
#define SYMBOL(name, version, function) extern "C" void function();
#define SYMBOL_PER_THREAD(name, version, function, per_thread) \
  extern "C" void function();                                  \
  extern "C" void per_thread();
// NOLINTEND(bugprone-macro-parentheses)
namespace berth::sim::cu::table {
#include "symbols.inc"
}
#undef SYMBOL
#undef SYMBOL_PER_THREAD

namespace berth::sim::cu {
namespace {

#define SYMBOL(name, version, function) Symbol{#name, version, table::function, nullptr},
#define SYMBOL_PER_THREAD(name, version, function, per_thread) \
  Symbol{#name, version, table::function, table::per_thread},
const Symbol kSymbols[] = {
#include "symbols.inc"
};
#undef SYMBOL
#undef SYMBOL_PER_THREAD

}  // namespace

SymbolSearch findSymbol(std::string_view name, int version) {
  const auto range = std::ranges::equal_range(kSymbols, name, {}, &Symbol::name);
  if (range.empty()) return {};
  const Symbol* newest = nullptr;
  for (const Symbol& symbol : range) {
    if (symbol.version <= version) newest = &symbol;
  }
  if (newest == nullptr) return {nullptr, CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT};
  return {newest, CU_GET_PROC_ADDRESS_SUCCESS};
}

}  // namespace berth::sim::cu
