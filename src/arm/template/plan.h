// From a template to what there is to deploy: every resource with its id, what it waits for, and its body as
// soon as that can be known. Pure: the state of the device comes in through Runtime, linked files through a
// reader.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "arm/template/evaluator.h"

namespace berth::arm_template {

/// One resource to deploy: an entry of "resources", or one turn of its loop.
struct PlannedResource {
  std::string path;  // "resources[0]"
  std::string symbol;
  std::string type;  // In full: "Microsoft.Compute/virtualMachines/extensions".
  std::string name;  // In full: "vm1/gpu".
  std::string id;
  std::string api_version;  // Empty: what the template's profile says.
  bool enabled = true;      // Its condition; one that is not is waited for by nobody.
  bool existing = false;    // It is only referred to.
  std::string loop;         // The loop it is a turn of; empty: none.
  CopyFrames frames;
  const json::object* source = nullptr;
  std::vector<std::size_t> depends_on;  // Places in Plan::resources, each once, in order.
};

/// The text of a file beside the template, by its path from the template's folder ("nested/nic.json").
using LinkReader = std::function<Result<std::string>(const std::string& path)>;
/// What resourceGroup() says of the group of that name: id, name, location.
using GroupReader = std::function<Result<json::object>(const std::string& name)>;

struct Plan {
  std::shared_ptr<const Template> declared;
  std::shared_ptr<TemplateScope> scope;  // Of its expressions: an outer template's where that was asked for.
  Surroundings target;                   // Where its resources go.
  CopyFrames frames;                     // Loops around the whole template.
  std::string folder;                    // Of the template, from the first one's; "" or "nested/".
  int nesting = 0;
  bool complete = false;  // Mode: Complete removes what the template does not name.
  std::vector<PlannedResource> resources;
  std::vector<std::size_t> order;  // Every resource after those it depends on.
};

/// InvalidArgument with the JSON path: parameters that do not fit, names that are none, loops that are too
/// long, dependencies on what is not there, circles (every member is named).
Result<Plan> makePlan(std::shared_ptr<const Template> declared, const json::object& parameters,
                      const Surroundings& around);

/// What is sent to the resource's provider: its members evaluated, without those that only the template uses.
/// For a nested deployment without "template" and "parameters". May call `runtime`.
Result<json::object> resourceBody(const Plan& plan, const PlannedResource& resource, Runtime* runtime);

/// The plan of a resource of type Microsoft.Resources/deployments, when those it depends on are done.
Result<Plan> nestedPlan(const Plan& outer, const PlannedResource& deployment, Runtime* runtime,
                        const LinkReader& links, const GroupReader& groups);

/// {"name": {"type": "String", "value": ...}}; secure ones without a value. When all resources are done.
Result<json::object> planOutputs(const Plan& plan, Runtime* runtime);

/// `link` taken from `folder`. InvalidArgument: it is no relative path, or leads out of the first template's
/// folder.
Result<std::string> resolveLink(std::string_view folder, std::string_view link);

}  // namespace berth::arm_template
