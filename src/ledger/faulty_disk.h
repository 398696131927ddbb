// A disk that fails on command: an SQLite VFS over the real one, for tests. Test code only.
#pragma once

#include <cstdint>
#include <string>

namespace berth::ledger::testing {

enum class Fault : std::uint8_t {
  Full,       // Writes fail with "disk is full".
  TornWrite,  // Half of a write arrives, then errors.
  Sync,       // Syncs fail; writes arrive.
};

/// Registered as long as it lives; one at a time.
class FaultyDisk {
 public:
  FaultyDisk();
  ~FaultyDisk();
  FaultyDisk(const FaultyDisk&) = delete;
  FaultyDisk& operator=(const FaultyDisk&) = delete;

  std::string name() const { return "berth-faulty-disk"; }
  /// From the `number`-th operation of the fault's kind on (from 1), every one fails.
  void failFrom(int number, Fault fault);
  void heal();
  /// True once an operation has failed.
  bool failed() const;
};

}  // namespace berth::ledger::testing
