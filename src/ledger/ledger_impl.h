// The inside of Ledger, shared by its readers and writers. Internal to the ledger.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "ledger/failpoint.h"
#include "ledger/ledger.h"
#include "ledger/lock_file.h"
#include "ledger/sqlite.h"

namespace berth::ledger {

struct Ledger::Impl {
  Impl(LockFile held, Database opened, FailPoint* point)
      : lock(std::move(held)), database(std::move(opened)), fail_point(point) {}

  LockFile lock;  // Let go last.
  Database database;
  FailPoint* fail_point;
  std::int64_t crossings = 0;
  bool writing = false;
  std::optional<Error> transaction_error;  // First failure of the open transaction.
  std::optional<Error> closed_by;

  void cross(std::string_view name, std::string_view where);

  /// Remembers a failed write. A constraint spoils its transaction only, anything else all further writes.
  void noteFailure(const Error& error);

  /// Runs a statement whose parameters `bind` has set, unless the transaction has failed already.
  template <typename Bind>
  Result<void> write(std::string_view sql, Bind&& bind) {
    if (transaction_error) return fail(*transaction_error);
    Result<void> done = runBound(sql, std::forward<Bind>(bind));
    if (!done) noteFailure(done.error());
    return done;
  }

 private:
  template <typename Bind>
  Result<void> runBound(std::string_view sql, Bind&& bind) {
    TRY(Statement * statement, database.cached(sql));
    std::forward<Bind>(bind)(*statement);
    return statement->run();
  }
};

}  // namespace berth::ledger
