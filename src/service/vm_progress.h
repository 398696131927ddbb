// How far an operation of a virtual machine or an image is. Pure.
#pragma once

#include "service/conductor.h"

namespace berth::service {

/// True for operations that vmProgress() knows: kinds "vm ..." and "image ...".
bool isVmOperation(const Operation& operation);
Progress vmProgress(const Operation& operation, const Book& book);

/// "vm/vm1", "image/debian": what such an operation waits for.
std::string vmTarget(const std::string& vm);
std::string imageTarget(const std::string& image);

}  // namespace berth::service
