// Routes of the GPU driver extensions of virtual machines (docs/extension.md).
#pragma once

#include <vector>

#include "http/router.h"
#include "service/extension_service.h"

namespace berth::api {

std::vector<http::Route> extensionRoutes(service::ExtensionService& extensions);

}  // namespace berth::api
