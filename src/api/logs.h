// A workload's output: one container's lines as they are, several containers' lines with their names in
// front.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "container/engine.h"
#include "http/exchange.h"
#include "service/supervisor.h"

namespace berth::api {

struct LogRequest {
  std::string container;  // "0/name", "name" or empty for all.
  bool follow = false;
  std::optional<int> tail;
};

struct LogSource {
  std::string label;  // "0/cuda-sample-container1"
  ContainerId id;
};

/// The containers whose output is wanted, those that the engine has made. NotFound: no such container, or
/// none yet.
Result<std::vector<LogSource>> logSources(const service::WorkloadRecord& workload, const LogRequest& wanted);

/// Writes their output to `out`: one after the other, or side by side when following. An engine's failure
/// becomes a last line, since the status has been sent by then.
void streamLogs(container::Engine& engine, const std::vector<LogSource>& sources, const LogRequest& wanted,
                http::BodyWriter& out);

/// Puts a label in front of every line that passes, however the lines are cut into pieces.
class LinePrefixer {
 public:
  explicit LinePrefixer(std::string prefix) : prefix_(std::move(prefix)) {}
  std::string add(std::string_view bytes);

 private:
  std::string prefix_;
  bool at_line_start_ = true;
};

}  // namespace berth::api
