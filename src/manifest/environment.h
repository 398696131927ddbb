// A container's environment: its variables with their places, Kubernetes' $(NAME) in its texts, and the GPU
// that it names (A10, A11).
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "manifest/workload.h"

namespace berth::manifest {

class Environment {
 public:
  /// A variable set twice keeps the last value and gives a warning.
  void set(std::string name, std::string value, const Place& place, std::vector<Warning>& warnings);

  /// `text` with each $(NAME) of a variable set so far replaced; $$ is a plain $, and $(OTHER) stays as it is
  /// (Kubernetes' rules for command, args and env).
  std::string expand(std::string_view text) const;

  std::vector<std::pair<std::string, std::string>> variables() const;

  struct Variable {
    std::string name;
    std::string value;
    Place place;
  };
  /// Null when it is not set. Valid until the next set().
  const Variable* find(std::string_view name) const;

 private:
  std::vector<Variable> variables_;
};

/// Puts the environment into `container` and reads from it which GPU it names, and with which thread
/// percentage. `container.gpu` has what the resources asked for. Refused: MultipleGpusByName (A10),
/// InvalidVisibleDevices, InvalidThreadPercentage (A11), ConflictingGpuRequest (a whole GPU asked for as
/// well).
Result<void> applyEnvironment(const Environment& environment, Container& container,
                              std::vector<Warning>& warnings);

}  // namespace berth::manifest
