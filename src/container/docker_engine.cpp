#include "container/docker_engine.h"

#include <algorithm>
#include <filesystem>
#include <limits>
#include <utility>

#include <sys/resource.h>

#include "base/text.h"
#include "container/docker_frames.h"
#include "container/engine_json.h"

namespace berth::container {

namespace {

constexpr std::string_view kApi = "/v1.41";

http::Deadline within(std::chrono::seconds limit) { return std::chrono::steady_clock::now() + limit; }

std::string containerPath(const ContainerId& id, std::string_view rest) {
  return std::string(kApi) + "/containers/" + http::percentEncode(id.value) + std::string(rest);
}

// An image's name is several pieces of the path.
std::string imagePath(std::string_view name) {
  std::vector<std::string> pieces;
  for (const std::string& piece : split(name, '/')) pieces.push_back(http::percentEncode(piece));
  return std::string(kApi) + "/images/" + join(pieces, "/") + "/json";
}

Error noImage(std::string_view name) {
  return {ErrorCode::NotFound,
          "image '" + std::string(name) +
              "' is not on this device; load it into the container engine first, images are "
              "not pulled"};
}

std::int64_t hardLimit(__rlimit_resource resource) {
  rlimit limit{};
  constexpr auto kMost = std::numeric_limits<std::int64_t>::max();
  if (::getrlimit(resource, &limit) != 0 || limit.rlim_max == RLIM_INFINITY) return kMost;
  return static_cast<std::int64_t>(std::min<rlim_t>(limit.rlim_max, static_cast<rlim_t>(kMost)));
}

Result<void> checkSources(const ContainerConfig& config) {
  std::error_code ignored;
  for (const Bind& bind : config.binds) {
    if (bind.volume || std::filesystem::exists(bind.source, ignored)) continue;
    return fail(ErrorCode::InvalidArgument,
                "'" + bind.source + "' to be mounted at '" + bind.target + "' does not exist on this device");
  }
  for (const std::string& device : config.devices) {
    if (std::filesystem::exists(device, ignored)) continue;
    return fail(ErrorCode::InvalidArgument, "device '" + device + "' does not exist on this device");
  }
  return {};
}

bool isSuccess(int status) { return status >= 200 && status < 300; }

// 304 Not Modified: it is in that state already.
Result<void> succeedIf(const http::Response& response, int also_fine) {
  if (isSuccess(response.status) || response.status == also_fine) return {};
  return fail(errorFromAnswer(response.status, response.body));
}

Result<http::Response> okOrFail(http::Response response) {
  if (isSuccess(response.status)) return response;
  return fail(errorFromAnswer(response.status, response.body));
}

std::string logsTarget(const ContainerId& id, const LogOptions& options) {
  std::string query = "/logs?stdout=1&stderr=1";
  query += options.follow ? "&follow=1" : "&follow=0";
  query += options.timestamps ? "&timestamps=1" : "&timestamps=0";
  query += "&tail=" + (options.tail ? std::to_string(std::max(*options.tail, 0)) : std::string("all"));
  return containerPath(id, query);
}

}  // namespace

Result<http::Response> DockerEngine::call(std::string method, std::string target, std::string body,
                                          std::chrono::seconds limit) const {
  http::Request request{std::move(method), std::move(target), {}, std::move(body)};
  if (!request.body.empty()) request.headers.emplace_back("Content-Type", "application/json");
  return client_.request(request, within(limit));
}

Result<std::string> DockerEngine::version() {
  TRY(const auto answered, call("GET", std::string(kApi) + "/version", "", kCallLimit));
  TRY(const auto response, okOrFail(answered));
  return parseVersion(response.body);
}

Result<std::string> DockerEngine::imageId(std::string_view name) {
  TRY(const auto answered, call("GET", imagePath(name), "", kCallLimit));
  if (answered.status == 404) return fail(noImage(name));
  TRY(const auto response, okOrFail(answered));
  return parseImageId(response.body);
}

Result<ContainerId> DockerEngine::create(const ContainerConfig& config) {
  TRY_VOID(checkSources(config));
  const auto ulimits = containerUlimits(hardLimit(RLIMIT_NOFILE), hardLimit(RLIMIT_NPROC));
  TRY(std::string body, createBody(config, ulimits));
  const std::string target =
      std::string(kApi) + "/containers/create?name=" + http::percentEncode(config.name);
  TRY(const auto answered, call("POST", target, std::move(body), kCallLimit));
  if (answered.status == 404) return fail(noImage(config.image));
  TRY(const auto response, okOrFail(answered));
  return parseCreated(response.body);
}

Result<void> DockerEngine::start(const ContainerId& id) {
  TRY(const auto response, call("POST", containerPath(id, "/start"), "", kCallLimit));
  return succeedIf(response, 304);
}

Result<ContainerStatus> DockerEngine::inspect(const ContainerId& id) {
  TRY(const auto answered, call("GET", containerPath(id, "/json"), "", kCallLimit));
  TRY(const auto response, okOrFail(answered));
  TRY(auto inspected, parseInspect(response.body));
  return std::move(inspected.status);
}

Result<std::vector<ContainerStatus>> DockerEngine::list(std::string_view label_key,
                                                        std::string_view label_value) {
  const std::string filter = http::percentEncode(labelFilter(label_key, label_value));
  const std::string target = std::string(kApi) + "/containers/json?all=1&filters=" + filter;
  TRY(const auto answered, call("GET", target, "", kCallLimit));
  TRY(const auto response, okOrFail(answered));
  TRY(const auto ids, parseList(response.body));
  std::vector<ContainerStatus> containers;
  for (const ContainerId& id : ids) {
    auto status = inspect(id);
    if (!status && status.error().code == ErrorCode::NotFound) continue;  // Removed since it was listed.
    TRY(containers.emplace_back(), std::move(status));
  }
  return containers;
}

Result<void> DockerEngine::stop(const ContainerId& id, std::chrono::seconds grace) {
  const std::string rest = "/stop?t=" + std::to_string(std::max<std::int64_t>(grace.count(), 0));
  TRY(const auto response, call("POST", containerPath(id, rest), "", kCallLimit + grace));
  return succeedIf(response, 304);
}

Result<void> DockerEngine::remove(const ContainerId& id, bool force) {
  const std::string rest = force ? "?force=1&v=1" : "?force=0&v=1";
  TRY(const auto response, call("DELETE", containerPath(id, rest), "", kCallLimit));
  return succeedIf(response, 404);
}

Result<void> DockerEngine::createVolume(const Volume& volume) {
  TRY(const auto response,
      call("POST", std::string(kApi) + "/volumes/create", volumeBody(volume), kCallLimit));
  TRY_VOID(okOrFail(response));
  return {};
}

Result<std::vector<Volume>> DockerEngine::volumes(std::string_view label_key, std::string_view label_value) {
  const std::string filter = http::percentEncode(labelFilter(label_key, label_value));
  TRY(const auto answered, call("GET", std::string(kApi) + "/volumes?filters=" + filter, "", kCallLimit));
  TRY(const auto response, okOrFail(answered));
  return parseVolumes(response.body);
}

Result<void> DockerEngine::removeVolume(const std::string& name) {
  TRY(const auto response,
      call("DELETE", std::string(kApi) + "/volumes/" + http::percentEncode(name), "", kCallLimit));
  return succeedIf(response, 404);
}

Result<void> DockerEngine::logs(const ContainerId& id, const LogOptions& options, const LogSink& sink) {
  TRY(const auto answered, call("GET", containerPath(id, "/json"), "", kCallLimit));
  TRY(const auto inspect_response, okOrFail(answered));
  TRY(const auto inspected, parseInspect(inspect_response.body));

  FrameReader frames;
  Result<bool> more = true;
  const auto take = [&](std::string_view bytes) {
    more = inspected.tty ? Result<bool>(sink(false, bytes)) : frames.feed(bytes, sink);
    return more && *more;
  };
  const auto deadline = options.follow ? http::kNoDeadline : within(kCallLimit);
  const auto streamed =
      client_.stream({"GET", logsTarget(id, options), {}, ""}, deadline, options.stop, take);
  if (!streamed) {
    if (streamed.error().reason == http::Client::kStopped) return {};
    return fail(streamed.error());
  }
  TRY_VOID(okOrFail(*streamed));
  TRY(const bool read_to_the_end, std::move(more));
  if (!read_to_the_end) return {};
  return frames.finish();
}

}  // namespace berth::container
