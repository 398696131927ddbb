#include "api/logs.h"

#include <mutex>
#include <thread>

namespace berth::api {
namespace {

void copyLog(container::Engine& engine, const LogSource& source, bool labelled, const LogRequest& wanted,
             std::mutex& writing, http::BodyWriter& out) {
  LinePrefixer prefixer(labelled ? "[" + source.label + "] " : "");
  const container::LogOptions options{wanted.follow, wanted.tail, false, out.stop()};
  const Result<void> copied =
      engine.logs(source.id, options, [&](bool /*is_stderr*/, std::string_view bytes) {
        const std::scoped_lock lock(writing);
        return !out.stop().stop_requested() && out.write(prefixer.add(bytes)).has_value();
      });
  if (copied || out.stop().stop_requested()) return;
  const std::scoped_lock lock(writing);
  // The client is told in the text; a client that is gone needs telling nothing.
  static_cast<void>(
      out.write("[" + source.label + "] the log cannot be read: " + copied.error().message + "\n"));
}

}  // namespace

std::string LinePrefixer::add(std::string_view bytes) {
  if (prefix_.empty()) return std::string(bytes);
  std::string labelled;
  for (const char c : bytes) {
    if (at_line_start_) labelled += prefix_;
    labelled += c;
    at_line_start_ = c == '\n';
  }
  return labelled;
}

Result<std::vector<LogSource>> logSources(const service::WorkloadRecord& workload, const LogRequest& wanted) {
  std::vector<LogSource> sources;
  bool known = false;
  for (const service::ContainerRecord& c : workload.containers) {
    const std::string label = c.name.substr(workload.spec.name.value.size() + 1);
    const std::string short_name = label.substr(label.find('/') + 1);
    if (!wanted.container.empty() && wanted.container != label && wanted.container != short_name &&
        wanted.container != c.name) {
      continue;
    }
    known = true;
    if (!c.engine_id.value.empty()) sources.push_back({label, c.engine_id});
  }
  if (!known) {
    return fail(ErrorCode::NotFound, workload.spec.name.value + " has no container " + wanted.container);
  }
  if (sources.empty()) {
    return fail(ErrorCode::NotFound, workload.spec.name.value + " has not been started yet");
  }
  return sources;
}

void streamLogs(container::Engine& engine, const std::vector<LogSource>& sources, const LogRequest& wanted,
                http::BodyWriter& out) {
  const bool labelled = sources.size() > 1;
  std::mutex writing;
  if (!wanted.follow || !labelled) {
    for (const LogSource& source : sources) copyLog(engine, source, labelled, wanted, writing, out);
    return;
  }
  std::vector<std::jthread> readers;
  for (const LogSource& source : sources) {
    readers.emplace_back([&, source] { copyLog(engine, source, labelled, wanted, writing, out); });
  }
}

}  // namespace berth::api
