// The Engine over the Docker Engine API v1.41 on a unix socket, as dockerd (20.10) and Podman's service
// (4.3.1) speak it. CDI names are not used: Podman's endpoint drops them silently and dockerd 20.10 has none,
// so a GPU comes as plain mounts, devices and environment (gpu_edits.h).
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "container/engine.h"
#include "http/client.h"

namespace berth::container {

/// Calls end after kCallLimit, stop() after its grace more, following logs when the container ends.
/// Besides what Engine says: Io with the reason "EngineError" carries the engine's own words (a start that
/// failed).
class DockerEngine final : public Engine {
 public:
  /// Image set-up and a start on a slow disk take seconds; a minute means that the engine hangs.
  static constexpr std::chrono::seconds kCallLimit{60};

  explicit DockerEngine(std::string socket_path) : client_(http::UnixEndpoint{std::move(socket_path)}) {}

  Result<std::string> version() override;
  Result<std::string> imageId(std::string_view name) override;
  /// InvalidArgument when a bind's source or a device does not exist: the engines would make an empty folder
  /// of it.
  Result<ContainerId> create(const ContainerConfig& config) override;
  Result<void> start(const ContainerId& id) override;
  Result<ContainerStatus> inspect(const ContainerId& id) override;
  Result<std::vector<ContainerStatus>> list(std::string_view label_key,
                                            std::string_view label_value) override;
  Result<void> stop(const ContainerId& id, std::chrono::seconds grace) override;
  Result<void> remove(const ContainerId& id, bool force) override;
  Result<void> createVolume(const Volume& volume) override;
  Result<std::vector<Volume>> volumes(std::string_view label_key, std::string_view label_value) override;
  Result<void> removeVolume(const std::string& name) override;
  Result<void> logs(const ContainerId& id, const LogOptions& options, const LogSink& sink) override;

 private:
  Result<http::Response> call(std::string method, std::string target, std::string body,
                              std::chrono::seconds limit) const;

  http::Client client_;
};

}  // namespace berth::container
