#include "ledger/faulty_disk.h"

#include <optional>

#include <sqlite3.h>

namespace berth::ledger::testing {
namespace {

// SQLite's VFS has no room for state of ours in its file methods, so the one disk's state lives here.
struct Disk {
  sqlite3_vfs* real = nullptr;
  sqlite3_vfs vfs{};
  sqlite3_io_methods methods{};
  std::optional<Fault> fault;
  int countdown = 0;
  bool failed = false;

  bool fails(Fault kind) {
    if (!fault || *fault != kind) return false;
    if (countdown > 1) {
      --countdown;
      return false;
    }
    failed = true;
    return true;
  }
};
Disk disk;

struct File {
  sqlite3_file base;
  sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};

sqlite3_file* realOf(sqlite3_file* file) { return reinterpret_cast<File*>(file)->real(); }

int closeFile(sqlite3_file* file) { return realOf(file)->pMethods->xClose(realOf(file)); }
int readFile(sqlite3_file* file, void* to, int length, sqlite3_int64 offset) {
  return realOf(file)->pMethods->xRead(realOf(file), to, length, offset);
}
int writeFile(sqlite3_file* file, const void* from, int length, sqlite3_int64 offset) {
  if (disk.fails(Fault::Full)) return SQLITE_FULL;
  if (disk.fails(Fault::TornWrite)) {
    realOf(file)->pMethods->xWrite(realOf(file), from, length / 2, offset);
    return SQLITE_IOERR_WRITE;
  }
  return realOf(file)->pMethods->xWrite(realOf(file), from, length, offset);
}
int truncateFile(sqlite3_file* file, sqlite3_int64 size) {
  return realOf(file)->pMethods->xTruncate(realOf(file), size);
}
int syncFile(sqlite3_file* file, int flags) {
  if (disk.fails(Fault::Sync)) return SQLITE_IOERR_FSYNC;
  return realOf(file)->pMethods->xSync(realOf(file), flags);
}
int sizeOfFile(sqlite3_file* file, sqlite3_int64* size) {
  return realOf(file)->pMethods->xFileSize(realOf(file), size);
}
int lockFile(sqlite3_file* file, int level) { return realOf(file)->pMethods->xLock(realOf(file), level); }
int unlockFile(sqlite3_file* file, int level) { return realOf(file)->pMethods->xUnlock(realOf(file), level); }
int checkLock(sqlite3_file* file, int* held) {
  return realOf(file)->pMethods->xCheckReservedLock(realOf(file), held);
}
int controlFile(sqlite3_file* file, int operation, void* argument) {
  return realOf(file)->pMethods->xFileControl(realOf(file), operation, argument);
}
int sectorSize(sqlite3_file* file) { return realOf(file)->pMethods->xSectorSize(realOf(file)); }
int characteristics(sqlite3_file* file) {
  return realOf(file)->pMethods->xDeviceCharacteristics(realOf(file));
}

int openFile(sqlite3_vfs*, sqlite3_filename path, sqlite3_file* file, int flags, int* flags_out) {
  file->pMethods = nullptr;
  const int code = disk.real->xOpen(disk.real, path, realOf(file), flags, flags_out);
  if (code == SQLITE_OK) file->pMethods = &disk.methods;
  return code;
}

sqlite3_io_methods fileMethods() {
  sqlite3_io_methods methods{};
  methods.iVersion = 1;  // No shared memory: the ledger must not need it.
  methods.xClose = closeFile;
  methods.xRead = readFile;
  methods.xWrite = writeFile;
  methods.xTruncate = truncateFile;
  methods.xSync = syncFile;
  methods.xFileSize = sizeOfFile;
  methods.xLock = lockFile;
  methods.xUnlock = unlockFile;
  methods.xCheckReservedLock = checkLock;
  methods.xFileControl = controlFile;
  methods.xSectorSize = sectorSize;
  methods.xDeviceCharacteristics = characteristics;
  return methods;
}

}  // namespace

FaultyDisk::FaultyDisk() {
  disk = Disk{};
  disk.real = sqlite3_vfs_find(nullptr);
  disk.methods = fileMethods();
  disk.vfs = *disk.real;
  disk.vfs.zName = "berth-faulty-disk";
  disk.vfs.szOsFile = disk.real->szOsFile + static_cast<int>(sizeof(File));
  disk.vfs.xOpen = openFile;
  disk.vfs.pNext = nullptr;
  sqlite3_vfs_register(&disk.vfs, 0);
}

FaultyDisk::~FaultyDisk() { sqlite3_vfs_unregister(&disk.vfs); }

void FaultyDisk::failFrom(int number, Fault fault) {
  disk.fault = fault;
  disk.countdown = number;
  disk.failed = false;
}

void FaultyDisk::heal() { disk.fault.reset(); }

bool FaultyDisk::failed() const { return disk.failed; }

}  // namespace berth::ledger::testing
