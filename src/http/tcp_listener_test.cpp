#include "http/tcp_listener.h"

#include <gtest/gtest.h>

namespace berth::http {
namespace {

TEST(TcpListenerTest, AddressesAreReadAndWrittenTheSame) {
  for (const char* text : {"127.0.0.1:8443", "0.0.0.0:0", "[::1]:443", "[::]:65535"}) {
    const auto address = parseTcpAddress(text);
    ASSERT_TRUE(address) << text << ": " << address.error().message;
    EXPECT_EQ(describe(*address), text);
  }
}

TEST(TcpListenerTest, WhatIsNoAddressIsRefused) {
  for (const char* text :
       {"", ":", "127.0.0.1", "127.0.0.1:", ":8443", "127.0.0.1:65536", "127.0.0.1:-1", "::1:443",
        "[127.0.0.1]:80", "[::1:80", "localhost:80", "127.0.0.256:80", "127.0.0.1:80 "}) {
    const auto address = parseTcpAddress(text);
    ASSERT_FALSE(address) << text;
    EXPECT_EQ(address.error().code, ErrorCode::InvalidArgument) << text;
  }
}

TEST(TcpListenerTest, APortInUseIsAConflict) {
  const auto first = listenTcp({"127.0.0.1", 0});
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_NE(first->address.port, 0);
  const auto second = listenTcp(first->address);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::Conflict);
}

}  // namespace
}  // namespace berth::http
