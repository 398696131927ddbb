#include "guard/elf_symbols.h"

#include <cstddef>
#include <cstdint>
#include <cstring>

#include <elf.h>
#include <link.h>

namespace berth::guard {
namespace {

struct Search {
  const char* library;
  const char* name;
  void* found;
};

/// What the dynamic section says of a library's symbols.
struct Tables {
  const ElfW(Sym) * symbols = nullptr;
  const char* strings = nullptr;
  const std::uint32_t* gnu_hash = nullptr;
};

const void* at(ElfW(Addr) address) noexcept {
  // NOLINTNEXTLINE(performance-no-int-to-ptr): where the loader put it
  return reinterpret_cast<const void*>(address);
}

Tables tablesOf(const dl_phdr_info& info) noexcept {
  Tables tables;
  for (int i = 0; i < info.dlpi_phnum; ++i) {
    if (info.dlpi_phdr[i].p_type != PT_DYNAMIC) continue;
    const auto* entry = static_cast<const ElfW(Dyn)*>(at(info.dlpi_addr + info.dlpi_phdr[i].p_vaddr));
    for (; entry->d_tag != DT_NULL; ++entry) {
      // The loader has put addresses where the file has offsets, except on a few machines.
      const ElfW(Addr) address =
          entry->d_un.d_ptr < info.dlpi_addr ? entry->d_un.d_ptr + info.dlpi_addr : entry->d_un.d_ptr;
      if (entry->d_tag == DT_SYMTAB) tables.symbols = static_cast<const ElfW(Sym)*>(at(address));
      if (entry->d_tag == DT_STRTAB) tables.strings = static_cast<const char*>(at(address));
      if (entry->d_tag == DT_GNU_HASH) tables.gnu_hash = static_cast<const std::uint32_t*>(at(address));
    }
  }
  return tables;
}

std::uint32_t gnuHash(const char* name) noexcept {
  std::uint32_t hash = 5381;
  for (; *name != '\0'; ++name) hash = hash * 33 + static_cast<unsigned char>(*name);
  return hash;
}

/// Walks the chain of the name's bucket in a DT_GNU_HASH table; 0: not there.
std::uint32_t indexOf(const Tables& tables, const char* name) noexcept {
  const std::uint32_t bucket_count = tables.gnu_hash[0];
  const std::uint32_t first = tables.gnu_hash[1];
  const std::uint32_t bloom_words = tables.gnu_hash[2] * (sizeof(ElfW(Addr)) / sizeof(std::uint32_t));
  const std::uint32_t* buckets = tables.gnu_hash + 4 + bloom_words;
  const std::uint32_t* chain = buckets + bucket_count;
  if (bucket_count == 0) return 0;
  const std::uint32_t hash = gnuHash(name);
  for (std::uint32_t i = buckets[hash % bucket_count]; i >= first && i != 0; ++i) {
    const std::uint32_t entry = chain[i - first];
    const ElfW(Sym)& symbol = tables.symbols[i];
    if ((entry | 1U) == (hash | 1U) && std::strcmp(tables.strings + symbol.st_name, name) == 0 &&
        symbol.st_shndx != 0) {
      return i;
    }
    if ((entry & 1U) != 0) break;
  }
  return 0;
}

int visit(dl_phdr_info* info, std::size_t /*size*/, void* data) noexcept {
  auto& search = *static_cast<Search*>(data);
  const char* slash = std::strrchr(info->dlpi_name, '/');
  const char* file = slash != nullptr ? slash + 1 : info->dlpi_name;
  if (std::strncmp(file, search.library, std::strlen(search.library)) != 0) return 0;
  const Tables tables = tablesOf(*info);
  if (tables.symbols == nullptr || tables.strings == nullptr || tables.gnu_hash == nullptr) return 0;
  const std::uint32_t index = indexOf(tables, search.name);
  if (index == 0) return 0;
  search.found = const_cast<void*>(at(info->dlpi_addr + tables.symbols[index].st_value));
  return 1;
}

}  // namespace

void* findInLibrary(const char* library, const char* name) noexcept {
  Search search{library, name, nullptr};
  ::dl_iterate_phdr(&visit, &search);
  return search.found;
}

}  // namespace berth::guard
