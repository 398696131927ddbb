#include "container/docker_frames.h"

#include <algorithm>
#include <string>

namespace berth::container {

namespace {

// Stream numbers. 0 (stdin) is written to stdout by an engine that echoes it; 3 carries an engine's own
// error.
constexpr unsigned kStdout = 1;
constexpr unsigned kStderr = 2;
constexpr unsigned kSystemError = 3;

unsigned byteAt(const std::array<char, 8>& header, std::size_t index) {
  return static_cast<unsigned char>(header[index]);
}

}  // namespace

Result<void> FrameReader::startFrame() {
  const unsigned stream = byteAt(header_, 0);
  if (stream > kSystemError || byteAt(header_, 1) != 0 || byteAt(header_, 2) != 0 ||
      byteAt(header_, 3) != 0) {
    return fail(ErrorCode::Corrupt, "the engine's output is not in frames");
  }
  const std::uint32_t length =
      byteAt(header_, 4) << 24U | byteAt(header_, 5) << 16U | byteAt(header_, 6) << 8U | byteAt(header_, 7);
  if (length > kMaxFrameBytes) {
    return fail(ErrorCode::Corrupt, "the engine announced a frame of " + std::to_string(length) + " bytes");
  }
  is_stderr_ = stream > kStdout;
  static_assert(kStderr > kStdout && kSystemError > kStdout);
  payload_left_ = length;
  header_filled_ = 0;
  return {};
}

Result<bool> FrameReader::feed(std::string_view bytes, const LogSink& sink) {
  while (!bytes.empty()) {
    if (payload_left_ > 0) {
      const std::string_view piece = bytes.substr(0, payload_left_);
      payload_left_ -= piece.size();
      bytes.remove_prefix(piece.size());
      if (!sink(is_stderr_, piece)) return false;
      continue;
    }
    const std::size_t taken = std::min(bytes.size(), kHeaderBytes - header_filled_);
    bytes.copy(header_.data() + header_filled_, taken);
    header_filled_ += taken;
    bytes.remove_prefix(taken);
    if (header_filled_ == kHeaderBytes) TRY_VOID(startFrame());
  }
  return true;
}

Result<void> FrameReader::finish() const {
  if (header_filled_ == 0 && payload_left_ == 0) return {};
  return fail(ErrorCode::Corrupt, "the engine's output ended inside a frame");
}

}  // namespace berth::container
