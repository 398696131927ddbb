// The routes of virtual machines, sizes and images.
#pragma once

#include <vector>

#include "http/router.h"
#include "service/vm_service.h"

namespace berth::api {

/// `vms` outlives the server.
std::vector<http::Route> vmRoutes(service::VmService& vms);

}  // namespace berth::api
