// Tables and pages of virtual machines, images and sizes. Pure.
#pragma once

#include <string>

#include <boost/json/fwd.hpp>

#include "cli/table.h"

namespace berth::cli {

std::string vmTable(const boost::json::value& vms, const TextStyle& style);
std::string extensionTable(const boost::json::value& extensions, const TextStyle& style);
std::string vmPage(const boost::json::value& vm, const TextStyle& style);
std::string imageTable(const boost::json::value& images, const TextStyle& style);
std::string sizeTable(const boost::json::value& sizes, const TextStyle& style);

}  // namespace berth::cli
