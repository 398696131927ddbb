// Finds a function in a loaded library by reading the library's own symbol table. The guard takes over dlsym
// and dlvsym, so it cannot ask them for the originals.
#pragma once

namespace berth::guard {

/// Address of the function `name` of the loaded library whose file name begins with `library` ("libc.so"), or
/// null.
void* findInLibrary(const char* library, const char* name) noexcept;

}  // namespace berth::guard
