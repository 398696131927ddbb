#include "execute.h"

#include <algorithm>
#include <type_traits>

#include "copy.h"
#include "graph.h"
#include "graph_memory.h"
#include "known_kernels.h"
#include "shared_event.h"

namespace berth::sim::cu {
namespace {

template <class... Fns>
struct Overloaded : Fns... {
  using Fns::operator()...;
};

/// Makes the stream wait for what the default stream has queued, and the default stream for everyone: CUDA's
/// implicit order between it and blocking streams. The caller holds the stream's lock.
void orderWithLegacy(Context& context, Stream& stream) {
  if (!stream.legacy) {
    if ((stream.flags & kStreamNonBlocking) != 0) return;
    const Ticket last = context.session->last(0);
    if (last.sequence == 0 || last.sequence == stream.legacy_seen) return;
    stream.legacy_seen = last.sequence;
    static_cast<void>(context.session->waitFor(stream.engine_stream, last));
    return;
  }
  const std::lock_guard lock(context.mutex);
  std::erase_if(context.blocking_streams, [](const auto& weak) { return weak.expired(); });
  for (const std::weak_ptr<Stream>& weak : context.blocking_streams) {
    const std::shared_ptr<Stream> other = weak.lock();
    if (!other) continue;
    const Ticket last = context.session->last(other->engine_stream);
    if (last.sequence == 0 || last.sequence == other->seen_by_legacy) continue;
    other->seen_by_legacy = last.sequence;
    static_cast<void>(context.session->waitFor(0, last));
  }
}

/// Checks before anything is queued.
CUresult check(const Driver& driver, const Operation& operation) {
  if (const auto* copy = std::get_if<Copy>(&operation)) {
    ResolvedCopy resolved;
    return resolveCopy(driver, copy->request, resolved);
  }
  if (const auto* fill = std::get_if<Fill>(&operation)) return checkFill(driver, fill->request);
  return CUDA_SUCCESS;
}

CUresult runKernel(Driver& driver, Context& context, const KernelLaunch& launch) {
  const std::optional<NbodyArguments> nbody = asNbody(launch);
  if (!nbody || std::uint64_t{nbody->bodies} * nbody->bodies > kComputedInteractions) return CUDA_SUCCESS;
  if (runNbody(driver, launch, *nbody)) return CUDA_SUCCESS;
  // The launch itself succeeds; the fault shows in whatever the program calls next.
  context.session->raiseFault();
  return CUDA_SUCCESS;
}

CUresult awaitEvent(Context& context, Stream& stream, Event& event) {
  if (event.shared) return event.shared->wait();  // There is no ticket across processes
  const std::shared_ptr<Context> owner = event.context.lock();
  Ticket ticket;
  {
    const std::lock_guard lock(event.mutex);
    if (!event.recorded) return CUDA_SUCCESS;
    ticket = event.ticket;
  }
  if (!owner) return CUDA_SUCCESS;
  owner->host_calls->drain(ticket.stream);
  if (owner.get() == &context) return toResult(context.session->waitFor(stream.engine_stream, ticket));
  // Another device's time: there is no ticket across sessions, so the caller waits.
  return toResult(owner->session->wait(ticket));
}

/// Tells other processes of a record now, and of its end when the work before it is done.
void recordShared(Context& context, const Event& event, const Ticket& ticket) {
  if (!event.shared) return;
  const std::uint64_t number = event.shared->record();
  context.host_calls->queue({ticket, [shared = event.shared, number] { shared->complete(number); }});
}

CUresult effect(Driver& driver, Context& context, Stream& stream, const Operation& operation,
                const Ticket& ticket) {
  return std::visit(
      Overloaded{
          [](const Nothing&) { return CUDA_SUCCESS; },
          [&](const KernelLaunch& launch) { return runKernel(driver, context, launch); },
          [&](const Copy& copy) {
            ResolvedCopy resolved;
            const CUresult result = resolveCopy(driver, copy.request, resolved);
            if (result == CUDA_SUCCESS) runCopy(resolved);
            return result;
          },
          [&](const Fill& fill) {
            const CUresult result = checkFill(driver, fill.request);
            if (result == CUDA_SUCCESS) runFill(fill.request);
            return result;
          },
          [&](const HostFunction& host) {
            context.host_calls->queue({ticket, [call = host.call] { call.fn(call.userData); }});
            return CUDA_SUCCESS;
          },
          [&](const RecordEvent& record) {
            recordShared(context, *record.event, ticket);
            const std::lock_guard lock(record.event->mutex);
            record.event->recorded = true;
            record.event->ticket = ticket;
            record.event->capture = nullptr;
            record.event->captured_after.clear();
            return CUDA_SUCCESS;
          },
          [](const AwaitEvent&) { return CUDA_SUCCESS; },
          [&](const MemAlloc& allocate) { return allocateGraphMemory(driver, *allocate.memory->memory()); },
          [&](const MemFree& free) { return freeGraphMemory(driver, *free.memory); },
          [&](const ChildGraph& child) {
            return performNodes(driver, context, stream, orderOf(*child.graph));
          },
      },
      operation);
}

CUresult performLocked(Driver& driver, Context& context, Stream& stream, const Operation& operation,
                       Ticket& ticket) {
  if (const CUresult result = check(driver, operation); result != CUDA_SUCCESS) return result;
  context.host_calls->drain(stream.engine_stream);
  orderWithLegacy(context, stream);
  if (const auto* await = std::get_if<AwaitEvent>(&operation))
    return awaitEvent(context, stream, *await->event);
  if (!std::holds_alternative<ChildGraph>(operation)) {
    const Status status =
        context.session->submit(stream.engine_stream, costOf(driver, context, operation), ticket);
    if (status != Status::Ok) return toResult(status);
  }
  return effect(driver, context, stream, operation, ticket);
}

}  // namespace

Work costOf(const Driver& driver, const Context& context, const Operation& operation) {
  const Profile& profile = context.session->profile();
  if (const auto* launch = std::get_if<KernelLaunch>(&operation)) {
    const std::optional<NbodyArguments> nbody = asNbody(*launch);
    return nbody ? nbodyWork(profile, nbody->bodies, launch->grid)
                 : kernelWork(profile, launch->function->kernel.cost, launch->grid, launch->block);
  }
  if (const auto* copy = std::get_if<Copy>(&operation)) {
    ResolvedCopy resolved;
    if (resolveCopy(driver, copy->request, resolved) != CUDA_SUCCESS) return {};
    return copyWork(profile, resolved.bytes(), resolved.from_host || resolved.to_host);
  }
  if (const auto* fill = std::get_if<Fill>(&operation)) {
    return copyWork(profile,
                    std::uint64_t{fill->request.elementSize} * fill->request.width * fill->request.height,
                    false);
  }
  return {};
}

CUresult performNodes(Driver& driver, Context& context, Stream& stream, const Nodes& nodes) {
  for (const std::shared_ptr<GraphNode>& node : nodes) {
    if (!node->enabled) continue;
    Ticket ticket;
    const CUresult result = performLocked(driver, context, stream, node->operation, ticket);
    if (result != CUDA_SUCCESS) return result;
  }
  return CUDA_SUCCESS;
}

CUresult submit(Driver& driver, const std::shared_ptr<Context>& context,
                const std::shared_ptr<Stream>& stream, Operation operation) {
  if (stream->legacy) {
    if (const CUresult result = driver.captures.forbidImplicit(*context); result != CUDA_SUCCESS)
      return result;
  }
  const std::lock_guard lock(stream->mutex);
  if (stream->capture) return captureOperation(driver, *stream, std::move(operation));
  Ticket ticket;
  return performLocked(driver, *context, *stream, operation, ticket);
}

namespace {

/// What every synchronisation ends with.
CUresult settled(Context& context) {
  if (Driver* driver = Driver::get()) driver->trimPools(context.device);
  return toResult(context.session->fault());
}

}  // namespace

CUresult waitForStream(Context& context, Stream& stream) {
  {
    const std::lock_guard lock(stream.mutex);
    if (stream.capture) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    orderWithLegacy(context, stream);
  }
  const Ticket last = context.session->last(stream.engine_stream);
  if (last.sequence != 0) {
    const Status status = context.session->wait(last);
    if (status != Status::Ok) return toResult(status);
  }
  context.host_calls->drain(stream.engine_stream);
  return settled(context);
}

CUresult waitForAll(Context& context) {
  const Status status = context.session->waitAll();
  if (status != Status::Ok) return toResult(status);
  context.host_calls->drainAll();
  return settled(context);
}

CUresult queryStream(Context& context, Stream& stream) {
  {
    const std::lock_guard lock(stream.mutex);
    if (stream.capture) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  }
  const Ticket last = context.session->last(stream.engine_stream);
  if (last.sequence != 0 && !context.session->done(last)) return CUDA_ERROR_NOT_READY;
  return context.host_calls->idle(stream.engine_stream) ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

}  // namespace berth::sim::cu
