// What expressions may ask about: the deployment's surroundings, and what only a running one knows.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <boost/json/value.hpp>

#include "arm/template/json_reader.h"
#include "base/error.h"

namespace berth::arm_template {

/// The facts of one deployment, as the functions of the same names give them. Plain values.
struct Surroundings {
  json::object subscription;    // id, subscriptionId, tenantId, displayName
  json::object resource_group;  // id, name, location, tags...; empty: a deployment to a subscription.
  json::object tenant;
  json::object deployment;   // name, properties
  json::object environment;  // resourceManager, authentication, suffixes...
  std::chrono::system_clock::time_point now;
  std::function<std::string()> new_guid;

  bool atResourceGroup() const { return !resource_group.empty(); }
};

/// What only a running deployment can tell. Worker threads only: both may wait for others.
class Runtime {
 public:
  virtual ~Runtime() = default;
  /// reference(): the properties of the resource `id`, or all of it where `full`.
  virtual Result<json::value> reference(const std::string& id, const std::string& api_version, bool full) = 0;
  /// listKeys() and its like, named as they were called.
  virtual Result<json::value> list(const std::string& function, const std::string& id,
                                   const std::string& api_version, const json::value& body) = 0;
};

/// What evaluating may cost, counted over a whole deployment.
class Budget {
 public:
  /// InvalidArgument when it is spent.
  Result<void> spend(std::size_t bytes);

 private:
  std::uint64_t steps_ = 0;
  std::size_t bytes_ = 0;
};

/// One turn of a copy loop.
struct CopyFrame {
  std::string loop;
  std::int64_t index = 0;
};
using CopyFrames = std::vector<CopyFrame>;

}  // namespace berth::arm_template
