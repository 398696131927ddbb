#include "http/error_mapping.h"

#include <boost/json.hpp>
#include <gtest/gtest.h>

namespace berth::http {
namespace {

TEST(ErrorMappingTest, EveryCodeHasAnErrorStatusAndSurvivesItsJson) {
  for (int i = 0; i < kErrorCodes; ++i) {
    const auto code = static_cast<ErrorCode>(i);
    SCOPED_TRACE(name(code));
    EXPECT_GE(httpStatus(code), 400);
    EXPECT_NE(exitStatus(code), ExitStatus::Done);
    const Error error{code, "m", "r", {{"GPU 0", "held by vm1", "berth unreserve vm1"}}};
    EXPECT_EQ(errorFromJson(toJson(error)), error);
    EXPECT_EQ(errorFromJson(toErrorBody(error)), error);
  }
}

TEST(ErrorMappingTest, TheContractsStatusesHold) {
  EXPECT_EQ(httpStatus(ErrorCode::InvalidArgument), 400);
  EXPECT_EQ(httpStatus(ErrorCode::Denied), 403);
  EXPECT_EQ(httpStatus(ErrorCode::NotFound), 404);
  EXPECT_EQ(httpStatus(ErrorCode::Conflict), 409);
  EXPECT_EQ(httpStatus(ErrorCode::Refused), 409);
  EXPECT_EQ(httpStatus(ErrorCode::Internal), 500);
  EXPECT_EQ(httpStatus(ErrorCode::Unavailable), 503);
  EXPECT_EQ(httpStatus(ErrorCode::Timeout), 504);
  EXPECT_EQ(exitStatus(ErrorCode::InvalidArgument), ExitStatus::Usage);
  EXPECT_EQ(exitStatus(ErrorCode::Refused), ExitStatus::Refused);
  EXPECT_EQ(exitStatus(ErrorCode::Conflict), ExitStatus::Failed);
}

TEST(ErrorMappingTest, WhatIsNotAnErrorIsNotReadAsOne) {
  for (const char* text :
       {"null", "[]", "{}", R"({"error": null})", R"({"code": 7})", R"({"message": "m"})"}) {
    EXPECT_FALSE(errorFromJson(boost::json::parse(text))) << text;
  }
  EXPECT_EQ(errorFromJson(boost::json::parse(R"({"code": "Novel", "details": [3]})"))->code,
            ErrorCode::Internal);
}

}  // namespace
}  // namespace berth::http
