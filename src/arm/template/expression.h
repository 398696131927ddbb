// The language inside of "[...]" strings: calls, strings, integers, properties and indices.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace berth::arm_template {

struct Expression {
  enum class Kind : std::uint8_t {
    Text,      // 'it''s'
    Integer,   // 12, -3
    Call,      // concat('a', 'b'), ns.name(1): children are the arguments
    Property,  // children[0].text
    Index,     // children[0][children[1]]
  };
  Kind kind = Kind::Text;
  std::string text;         // Text's value, Call's name as written, Property's name.
  std::int64_t number = 0;  // Integer's value.
  bool safe = false;        // Property and Index by ".?" and "[?": null where there is nothing.
  std::size_t column = 1;   // Where it begins in the string, from 1.
  std::vector<Expression> children{};
};

/// True for a string that is evaluated: it begins with '[', not with "[[", and ends with ']'.
bool isExpression(std::string_view text);
/// What a string that is no expression says: "[[" at its begin stands for '['.
std::string literal(std::string_view text);

/// InvalidArgument: "column 7: ...". Nothing nests deeper than kMaxDepth.
Result<Expression> parseExpression(std::string_view text);

/// The expression as it would be written, which parses to the same.
std::string toText(const Expression& expression);

}  // namespace berth::arm_template
