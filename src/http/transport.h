// The bytes of one connection, in the open or inside of TLS. transport.cpp is the only file that knows
// OpenSSL.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/system/error_code.hpp>

#include "base/error.h"
#include "os/unique_fd.h"

namespace berth::http {

/// What a TLS server shows and keeps secret, ready to use. Immutable; shared by all connections of a
/// listener.
class TlsContext {
 public:
  /// TLS 1.2 and later, with forward secrecy only. `certificate_pem`: the server's certificate, then those
  /// between it and its authority. InvalidArgument: one of the texts is none, or the key is another
  /// certificate's.
  static Result<std::shared_ptr<TlsContext>> make(const std::string& certificate_pem,
                                                  const std::string& key_pem);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  struct Impl;
  Impl& impl() { return *impl_; }

 private:
  explicit TlsContext(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// Belongs to the event loop's thread. Each call ends early when close() is called meanwhile.
class Transport {
 public:
  using Socket = boost::asio::generic::stream_protocol::socket;

  /// `family` is the descriptor's (AF_UNIX, AF_INET, AF_INET6); without `tls` bytes go as they are.
  Transport(boost::asio::io_context& io, os::UniqueFd client, int family, std::shared_ptr<TlsContext> tls);
  ~Transport();
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  /// Agrees on keys; true at once without TLS. False: the other end does not speak TLS as we want it.
  boost::asio::awaitable<bool> handshake();
  /// How many bytes came; 0: the connection has ended or failed.
  boost::asio::awaitable<std::size_t> readSome(boost::asio::mutable_buffer into);
  /// How many bytes went; 0: the connection has failed.
  boost::asio::awaitable<std::size_t> writeSome(boost::asio::const_buffer from);
  /// Tells a TLS client that nothing was cut off, and waits until it agrees.
  boost::asio::awaitable<void> sayGoodbye();

  /// The end of what we send.
  void shutdownSending();
  void close();
  /// True when the other end sends no more and all it sent is read, or (with TLS, whose own last bytes may
  /// still wait here) when it sends no more.
  bool ended();
  /// True when bytes wait to be read.
  bool hasBytes();
  Socket& socket() { return socket_; }

 private:
  struct Tls;
  Socket socket_;
  std::shared_ptr<TlsContext> context_;
  std::unique_ptr<Tls> tls_;
};

}  // namespace berth::http
