// Names as Kubernetes allows them, and IoT Edge module ids made into such names.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace berth::manifest {

/// A DNS label (RFC 1123): up to 63 of a-z, 0-9 and '-'.
bool isDnsLabel(std::string_view text);
/// A key of a label or an annotation: `name` or `dns.name/name`.
bool isQualifiedName(std::string_view text);
/// A label's value: empty, or up to 63 letters, digits, '-', '_' and '.', letters or digits at its ends.
bool isLabelValue(std::string_view text);
/// The name of an environment variable: printable ASCII without '='.
bool isEnvironmentName(std::string_view text);

/// A module id as the appliance's translation makes it a DNS label (appliance.md 6.2;
/// KubeUtils.SanitizeDNSValue of Azure/iotedge 1.1-k8s-preview): lower case, what stands before the first
/// letter or after the last letter or digit cut off, other characters left out. Nothing when that is empty or
/// longer than 63.
std::optional<std::string> moduleDnsName(std::string_view module_id);

}  // namespace berth::manifest
