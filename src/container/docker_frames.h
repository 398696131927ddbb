// Takes apart the stream in which an engine sends a container's output: frames of an 8-byte header (stream
// number, three zero bytes, big-endian length) and that many bytes. A container with a terminal has no
// frames, its output comes as it is. Format: Docker Engine API v1.41, "Attach to a container", stream format.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "container/engine.h"

namespace berth::container {

/// Bytes in, pieces of output out, cut anywhere. One stream, one thread.
class FrameReader {
 public:
  /// The largest length a frame may state; a larger one means that these are no frames.
  static constexpr std::uint32_t kMaxFrameBytes = 64U << 20U;

  /// True when `sink` wants more. After an error or false it must not be called again. Corrupt: no frame.
  Result<bool> feed(std::string_view bytes, const LogSink& sink);

  /// Corrupt when the stream ended inside a frame.
  Result<void> finish() const;

 private:
  static constexpr std::size_t kHeaderBytes = 8;

  Result<void> startFrame();

  std::array<char, kHeaderBytes> header_{};
  std::size_t header_filled_ = 0;
  std::size_t payload_left_ = 0;
  bool is_stderr_ = false;
};

}  // namespace berth::container
