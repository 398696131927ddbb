// User objects: what graphs keep alive for the program.
#include <limits>

#include "cuda_api.h"
#include "entry.h"
#include "graph.h"

namespace berth::sim::cu {
namespace {

constexpr unsigned kMost = static_cast<unsigned>(std::numeric_limits<int>::max());

bool validCount(unsigned count) { return count != 0 && count <= kMost; }

CUresult withObject(Driver& driver, CUuserObject handle, unsigned count,
                    std::shared_ptr<UserObject>& object) {
  if (!validCount(count)) return CUDA_ERROR_INVALID_VALUE;
  object = driver.user_objects.find(numberOf(handle));
  return object ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

}  // namespace

BERTH_CUDA_API cuUserObjectCreate(CUuserObject* out, void* pointer, CUhostFn destroy, unsigned count,
                                  unsigned flags) {
  return initialised([&](Driver& driver) -> CUresult {
    if (out == nullptr || destroy == nullptr || !validCount(count)) return CUDA_ERROR_INVALID_VALUE;
    if (flags != kUserObjectNoDestructorSync) return CUDA_ERROR_INVALID_VALUE;
    auto object = std::make_shared<UserObject>();
    object->object = pointer;
    object->destroy = destroy;
    object->references = count;
    object->handle = driver.user_objects.add(object);
    *out = handleOf<CUuserObject>(object->handle);
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuUserObjectRetain(CUuserObject handle, unsigned count) {
  return initialised([&](Driver& driver) -> CUresult {
    std::shared_ptr<UserObject> object;
    if (const CUresult result = withObject(driver, handle, count, object); result != CUDA_SUCCESS)
      return result;
    const std::lock_guard lock(object->mutex);
    if (object->references == 0) return CUDA_ERROR_INVALID_VALUE;
    object->references += count;
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuUserObjectRelease(CUuserObject handle, unsigned count) {
  return initialised([&](Driver& driver) -> CUresult {
    std::shared_ptr<UserObject> object;
    if (const CUresult result = withObject(driver, handle, count, object); result != CUDA_SUCCESS)
      return result;
    {
      const std::lock_guard lock(object->mutex);
      if (object->references < count) return CUDA_ERROR_INVALID_VALUE;
      if (object->references == count) driver.user_objects.take(object->handle);
    }
    releaseUserObject(*object, count);
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuGraphRetainUserObject(CUgraph graph_handle, CUuserObject handle, unsigned count,
                                       unsigned flags) {
  return initialised([&](Driver& driver) -> CUresult {
    if (flags > kGraphUserObjectMove) return CUDA_ERROR_INVALID_VALUE;
    const std::shared_ptr<Graph> graph = driver.graphs.find(numberOf(graph_handle));
    std::shared_ptr<UserObject> object;
    if (const CUresult result = withObject(driver, handle, count, object); result != CUDA_SUCCESS)
      return result;
    if (!graph) return CUDA_ERROR_INVALID_VALUE;
    {
      const std::lock_guard lock(object->mutex);
      if (object->references < count) return CUDA_ERROR_INVALID_VALUE;
      if (flags != kGraphUserObjectMove) object->references += count;
    }
    const std::lock_guard lock(graph->mutex);
    graph->user_objects[object] += count;
    return CUDA_SUCCESS;
  });
}

BERTH_CUDA_API cuGraphReleaseUserObject(CUgraph graph_handle, CUuserObject handle, unsigned count) {
  return initialised([&](Driver& driver) -> CUresult {
    const std::shared_ptr<Graph> graph = driver.graphs.find(numberOf(graph_handle));
    std::shared_ptr<UserObject> object;
    if (const CUresult result = withObject(driver, handle, count, object); result != CUDA_SUCCESS)
      return result;
    if (!graph) return CUDA_ERROR_INVALID_VALUE;
    {
      const std::lock_guard lock(graph->mutex);
      const auto held = graph->user_objects.find(object);
      if (held == graph->user_objects.end() || held->second < count) return CUDA_ERROR_INVALID_VALUE;
      held->second -= count;
      if (held->second == 0) graph->user_objects.erase(held);
    }
    releaseUserObject(*object, count);
    return CUDA_SUCCESS;
  });
}

}  // namespace berth::sim::cu
