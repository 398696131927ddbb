#include "http/body_buffer.h"

#include <utility>

namespace berth::http {

BodyBuffer::BodyBuffer(std::size_t limit, std::stop_token stop, std::function<void()> wake)
    : limit_(limit), stop_(std::move(stop)), wake_(std::move(wake)) {}

Result<void> BodyBuffer::write(std::string_view bytes) {
  while (!bytes.empty()) {
    {
      std::unique_lock lock(mutex_);
      room_.wait(lock, [this] { return cut_ || waiting_.size() < limit_; });
      if (cut_) return fail(cut_error_);
      bytes.remove_prefix(append(bytes));
    }
    wake_();
  }
  return {};
}

std::size_t BodyBuffer::append(std::string_view bytes) {
  const std::string_view fitting = bytes.substr(0, limit_ - waiting_.size());
  waiting_.append(fitting);
  return fitting.size();
}

void BodyBuffer::finish() {
  {
    const std::scoped_lock lock(mutex_);
    finished_ = true;
  }
  wake_();
}

std::string BodyBuffer::take() {
  const std::scoped_lock lock(mutex_);
  room_.notify_one();
  return std::exchange(waiting_, {});
}

bool BodyBuffer::finished() const {
  const std::scoped_lock lock(mutex_);
  return finished_;
}

void BodyBuffer::cut(Error why) {
  const std::scoped_lock lock(mutex_);
  if (std::exchange(cut_, true)) return;
  cut_error_ = std::move(why);
  waiting_.clear();
  room_.notify_one();
}

bool BodyBuffer::wasCut() const {
  const std::scoped_lock lock(mutex_);
  return cut_;
}

}  // namespace berth::http
