// How the daemon is reached over the network: where it listens, by which names, with which certificate.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "daemon/config.h"
#include "http/server.h"
#include "tls/certificates.h"

namespace berth::daemon {

/// The names and addresses clients may use for a device called `device`: itself, management., login. and the
/// blob accounts below it, `host_name`, localhost and `addresses`. A host name that is no DNS name is left
/// out. Pure.
tls::SubjectNames subjectNames(const std::string& device, const std::string& host_name,
                               const std::vector<std::string>& addresses);

/// What the device is called where nothing was configured: the host's name in lower case, or "berth".
std::string defaultDeviceName(const std::string& host_name);
/// What this device is called.
std::string deviceName(const Config& config);

/// The configured TCP endpoints with their certificate: the user's, or one of the device's own authority in
/// `stateDir`/tls, made where there is none. None when none is configured. Blocks on the disk.
Result<std::vector<http::ListenEndpoint>> networkEndpoints(const Config& config,
                                                           std::chrono::system_clock::time_point now);

}  // namespace berth::daemon
