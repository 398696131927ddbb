// Rows to values and back. Every number and name is checked: a value no version of Berth writes is Corrupt.
// Internal to the ledger.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/error.h"
#include "ledger/records.h"
#include "ledger/sqlite.h"
#include "ledger/state.h"

namespace berth::ledger {

/// Reads the columns of one row in order and remembers the first that makes no sense.
class RowReader {
 public:
  RowReader(const Statement& row, std::string_view table) : row_(row), table_(table) {}

  std::int64_t integer() { return row_.integer(column_++); }
  std::string text() { return row_.text(column_++); }
  bool flag() { return checked(integer(), 0, 1) == 1; }
  int number() {
    return static_cast<int>(
        checked(integer(), std::numeric_limits<int>::min(), std::numeric_limits<int>::max()));
  }
  template <typename Enum>
  Enum named() {
    Enum value{};
    const std::string spelled = text();
    if (!fromName(spelled, value)) complain("'" + spelled + "'");
    return value;
  }
  bool isNull() const { return row_.isNull(column_); }
  void skip() { ++column_; }

  Result<void> finish() const {
    if (problem_.empty()) return {};
    return fail(ErrorCode::Corrupt, "table " + std::string(table_) + ": " + problem_ + " makes no sense");
  }

 private:
  std::int64_t checked(std::int64_t value, std::int64_t low, std::int64_t high) {
    if (value >= low && value <= high) return value;
    complain(std::to_string(value));
    return low;
  }
  void complain(std::string what) {
    if (problem_.empty()) problem_ = std::move(what);
  }

  const Statement& row_;
  std::string_view table_;
  int column_ = 0;
  std::string problem_;
};

/// All rows of a query whose parameters `bind` sets, each made by `make(RowReader&)`.
template <typename Bind, typename Make>
auto readRows(Database& database, std::string_view table, std::string_view sql, Bind&& bind, Make&& make)
    -> Result<std::vector<std::invoke_result_t<Make, RowReader&>>> {
  TRY(Statement * statement, database.cached(sql));
  StatementUse rows(*statement);
  std::forward<Bind>(bind)(*statement);
  std::vector<std::invoke_result_t<Make, RowReader&>> values;
  for (;;) {
    TRY(const bool row, rows->step());
    if (!row) return values;
    RowReader reader(*statement, table);
    values.push_back(make(reader));
    TRY_VOID(reader.finish());
  }
}

template <typename Make>
auto readRows(Database& database, std::string_view table, std::string_view sql, Make&& make) {
  return readRows(database, table, sql, [](Statement&) {}, std::forward<Make>(make));
}

/// The State in the tables gpu, berth and kubernetes.
Result<State> readState(Database& database);

Gpu gpuFrom(RowReader& row);
Berth berthFrom(RowReader& row);
Loan loanFrom(RowReader& row);
void bindGpu(Statement& statement, const Gpu& gpu);
void bindBerth(Statement& statement, const Berth& berth);

}  // namespace berth::ledger
