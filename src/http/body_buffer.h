// The bounded buffer between a handler that streams a body and the event loop that sends it.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>

#include "http/exchange.h"

namespace berth::http {

/// One thread writes and finishes, another takes and cuts.
class BodyBuffer final : public BodyWriter {
 public:
  /// Holds at most `limit` bytes. `wake` tells the taking side that there is news; it must not block.
  BodyBuffer(std::size_t limit, std::stop_token stop, std::function<void()> wake);

  Result<void> write(std::string_view bytes) override;
  std::stop_token stop() const override { return stop_; }
  /// No more will be written.
  void finish();

  /// What waits; makes room for as much.
  std::string take();
  /// True once finish was called; bytes may still wait.
  bool finished() const;
  /// The connection is over: this and every later write fails with `why`. Only the first call counts.
  void cut(Error why);
  bool wasCut() const;

 private:
  std::size_t append(std::string_view bytes);

  const std::size_t limit_;
  const std::stop_token stop_;
  const std::function<void()> wake_;
  mutable std::mutex mutex_;  // Guards what follows; a condition variable needs it in the open.
  std::condition_variable room_;
  std::string waiting_;
  Error cut_error_;
  bool finished_ = false;
  bool cut_ = false;
};

}  // namespace berth::http
