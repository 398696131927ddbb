// The bodies of the Docker Engine API v1.41 (https://docs.docker.com/engine/api/v1.41/), which dockerd and
// Podman's service both speak: requests written from our types, answers read into them. Pure functions; an
// answer that is not what it should be is Corrupt and names the field.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/types.h"
#include "container/engine.h"

namespace berth::container {

/// One resource limit of a container's processes.
struct Ulimit {
  std::string name;  // "nofile"
  std::int64_t soft = 0;
  std::int64_t hard = 0;
};

/// Limits for every container, as far as `nofile_hard` and `nproc_hard` (this process's own hard limits) let
/// them be given away: Podman 4.3.1 passes limits of its own making to the runtime when a request has none,
/// and where limits cannot be raised the start fails.
std::vector<Ulimit> containerUlimits(std::int64_t nofile_hard, std::int64_t nproc_hard);

/// The body of POST /containers/create. InvalidArgument: a path, port or limit that cannot be asked for.
Result<std::string> createBody(const ContainerConfig& config, const std::vector<Ulimit>& ulimits);

/// The body of POST /volumes/create.
std::string volumeBody(const Volume& volume);

/// The filters parameter of GET /containers/json and /volumes, not yet percent-encoded.
std::string labelFilter(std::string_view key, std::string_view value);

struct Inspected {
  ContainerStatus status;
  bool tty = false;
};

/// GET /containers/ID/json.
Result<Inspected> parseInspect(std::string_view body);
/// GET /containers/json: the ids.
Result<std::vector<ContainerId>> parseList(std::string_view body);
/// GET /volumes: names and labels. Engines say null for no volumes and for no labels.
Result<std::vector<Volume>> parseVolumes(std::string_view body);
/// POST /containers/create: the id.
Result<ContainerId> parseCreated(std::string_view body);
/// GET /images/NAME/json: the id.
Result<std::string> parseImageId(std::string_view body);
/// GET /version: "podman 4.3.1" or "docker 20.10.24".
Result<std::string> parseVersion(std::string_view body);
/// What the engine says is wrong; the body itself, shortened, where it is not the usual object.
std::string errorText(std::string_view body);
/// The Error for an answer with an error status, in the engine's own words: 400 InvalidArgument, 404
/// NotFound, 409 and Podman's 500 for a taken name Conflict, anything else Io with the reason "EngineError".
Error errorFromAnswer(int status, std::string_view body);

/// RFC 3339 with up to nine decimals and any offset; nullopt for anything else, and for the year 1, with
/// which engines say "never".
std::optional<std::chrono::system_clock::time_point> parseTime(std::string_view text);

}  // namespace berth::container
