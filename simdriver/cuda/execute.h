// Doing what was asked on a stream. An operation's effect (bytes copied, bodies moved) happens at once, in
// the calling thread; its cost is queued to the engine, and events, queries and waits speak of device time.
// Any program that orders its work with streams, events and waits sees the results it would see on a GPU,
// because the order of calls respects the order it asked for. The exception are host functions, which run
// when their turn has come in device time: work queued behind one waits for it in the caller.
#pragma once

#include <memory>

#include "driver.h"

namespace berth::sim::cu {

/// Kernels that the driver knows compute for real up to this many interactions in a launch.
inline constexpr std::uint64_t kComputedInteractions = std::uint64_t{1} << 22;

/// Queues the operation to the stream, or adds it to the graph that the stream is captured into.
CUresult submit(Driver& driver, const std::shared_ptr<Context>& context,
                const std::shared_ptr<Stream>& stream, Operation operation);

/// Blocks until everything queued to the stream is done, host functions included.
CUresult waitForStream(Context& context, Stream& stream);
/// The same for all of the context.
CUresult waitForAll(Context& context);
/// CUDA_SUCCESS or CUDA_ERROR_NOT_READY.
CUresult queryStream(Context& context, Stream& stream);

/// Cost of an operation on the context's device.
Work costOf(const Driver& driver, const Context& context, const Operation& operation);

}  // namespace berth::sim::cu
