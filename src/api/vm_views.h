// Virtual machines, sizes and images as callers see them (docs/api.md). Pure functions.
#pragma once

#include <boost/json/fwd.hpp>

#include "service/vm_keeper.h"
#include "service/vm_service.h"

namespace berth::api {

boost::json::object vmJson(const ledger::State& state, const service::VmRecord& vm);
/// All of them, by name.
boost::json::array vmArray(const service::Book& book);
boost::json::object sizeJson(const vm::VmSize& size, const service::Book& book);
boost::json::object imageJson(const service::ImageRecord& image);

}  // namespace berth::api
