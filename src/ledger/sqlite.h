// SQLite, wrapped thinly: handles that close themselves and errors of ours. The only header of the ledger
// that names sqlite3 types; nothing outside src/ledger includes it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/error.h"

struct sqlite3;
struct sqlite3_stmt;

namespace berth::ledger {

/// A prepared statement, one use at a time. Parameters and columns are numbered from 1 and 0, as in SQLite.
class Statement {
 public:
  explicit Statement(sqlite3_stmt* handle) : handle_(handle) {}

  Statement& bind(int parameter, std::int64_t value);
  Statement& bind(int parameter, std::string_view value);
  Statement& bindNull(int parameter);

  /// True: a row is there to read; false: done. Errors as in sqliteError().
  Result<bool> step();
  /// Steps to the end, ignoring rows, and resets.
  Result<void> run();
  /// Ready for the next use, parameters cleared.
  void reset();

  std::int64_t integer(int column) const;
  std::string text(int column) const;
  bool isNull(int column) const;

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* handle) const;
  };
  std::unique_ptr<sqlite3_stmt, Finalize> handle_;
};

/// Resets a borrowed statement when the reading is over.
class StatementUse {
 public:
  explicit StatementUse(Statement& statement) : statement_(statement) {}
  ~StatementUse() { statement_.reset(); }
  StatementUse(const StatementUse&) = delete;
  StatementUse& operator=(const StatementUse&) = delete;
  Statement* operator->() { return &statement_; }

 private:
  Statement& statement_;
};

/// One connection. Not safe from several threads at once.
class Database {
 public:
  enum class Access : std::uint8_t { ReadWrite, ReadOnly };

  /// Opens, making the file when it is missing and `access` allows. `vfs` empty: the default one.
  static Result<Database> open(const std::string& path, Access access, const std::string& vfs);

  /// Runs SQL without parameters or results.
  Result<void> run(const std::string& sql);
  Result<Statement> prepare(std::string_view sql);
  /// The statement for that text, prepared once and kept.
  Result<Statement*> cached(std::string_view sql);
  /// The first column of the first row.
  Result<std::int64_t> integer(std::string_view sql);
  Result<std::string> text(std::string_view sql);

 private:
  struct Close {
    void operator()(sqlite3* handle) const;
  };
  explicit Database(sqlite3* handle) : handle_(handle) {}
  std::unique_ptr<sqlite3, Close> handle_;  // Closed last: the statements below belong to it.
  std::unordered_map<std::string, Statement> statements_;
};

/// The Error for the connection's last failure. Corrupt: damaged, or no database. Io: the disk is full or an
/// operation on it failed. Conflict: a constraint. Unavailable: locked by another process. Internal: the
/// rest, wrong SQL.
Error sqliteError(sqlite3* handle, std::string_view doing);

}  // namespace berth::ledger
