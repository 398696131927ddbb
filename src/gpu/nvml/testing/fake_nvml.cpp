// A libnvidia-ml.so.1 with scripted behaviour: see fake_nvml.h.
#include "gpu/nvml/testing/fake_nvml.h"

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <string>

namespace {

using namespace berth::gpu::nvml;  // NOLINT(google-build-using-namespace): the whole file is that ABI.

FakeNvml g_fake;

FakeNvmlGpu& gpuOf(Device device) { return *reinterpret_cast<FakeNvmlGpu*>(device); }
Device handleOf(FakeNvmlGpu& gpu) { return reinterpret_cast<Device>(&gpu); }

Return copy(const std::string& text, char* out, unsigned size) {
  std::snprintf(out, size, "%s", text.c_str());
  return kSuccess;
}

Return copyProcesses(const std::vector<ProcessInfo>& from, unsigned* count, ProcessInfo* out) {
  const bool fits = from.size() <= *count;
  *count = static_cast<unsigned>(from.size());
  if (!fits) return kInsufficientSize;
  std::ranges::copy(from, out);
  return kSuccess;
}

Return reading(Device device, unsigned* out, unsigned value) {
  *out = value;
  return gpuOf(device).optional_result;
}

}  // namespace

extern "C" {

FakeNvml* fakeNvml();
FakeNvml* fakeNvml() { return &g_fake; }

Return nvmlInit_v2();
Return nvmlInit_v2() {
  ++g_fake.inits;
  if (g_fake.init_result != kSuccess) return g_fake.init_result;
  if (g_fake.initialised++ == 0) g_fake.gpus = g_fake.plugged;
  return kSuccess;
}

Return nvmlShutdown();
Return nvmlShutdown() {
  --g_fake.initialised;
  return kSuccess;
}

const char* nvmlErrorString(Return code);
const char* nvmlErrorString(Return code) { return code == kGpuIsLost ? "GPU is lost" : "some error"; }

Return nvmlSystemGetDriverVersion(char* out, unsigned size);
Return nvmlSystemGetDriverVersion(char* out, unsigned size) { return copy("535.183.01", out, size); }

Return nvmlSystemGetCudaDriverVersion_v2(int* out);
Return nvmlSystemGetCudaDriverVersion_v2(int* out) {
  *out = 12020;
  return kSuccess;
}

Return nvmlDeviceGetCount_v2(unsigned* out);
Return nvmlDeviceGetCount_v2(unsigned* out) {
  *out = static_cast<unsigned>(g_fake.gpus.size());
  return g_fake.initialised > 0 ? kSuccess : kUninitialized;
}

Return nvmlDeviceGetHandleByIndex_v2(unsigned index, Device* out);
Return nvmlDeviceGetHandleByIndex_v2(unsigned index, Device* out) {
  FakeNvmlGpu& gpu = g_fake.gpus.at(index);
  *out = handleOf(gpu);
  return gpu.result;
}

Return nvmlDeviceGetHandleByUUID(const char* uuid, Device* out);
Return nvmlDeviceGetHandleByUUID(const char* uuid, Device* out) {
  const auto found = std::ranges::find(g_fake.gpus, uuid, &FakeNvmlGpu::uuid);
  if (found == g_fake.gpus.end()) return kNotFound;
  *out = handleOf(*found);
  return found->result;
}

Return nvmlDeviceGetUUID(Device device, char* out, unsigned size);
Return nvmlDeviceGetUUID(Device device, char* out, unsigned size) {
  return copy(gpuOf(device).uuid, out, size);
}

Return nvmlDeviceGetName(Device device, char* out, unsigned size);
Return nvmlDeviceGetName(Device /*device*/, char* out, unsigned size) { return copy("Tesla T4", out, size); }

Return nvmlDeviceGetPciInfo_v3(Device device, PciInfo* out);
Return nvmlDeviceGetPciInfo_v3(Device device, PciInfo* out) {
  out->pci_device_id = 0x1eb810de;
  return copy(gpuOf(device).bus_id, out->bus_id.data(), static_cast<unsigned>(out->bus_id.size()));
}

Return nvmlDeviceGetMemoryInfo(Device device, Memory* out);
Return nvmlDeviceGetMemoryInfo(Device device, Memory* out) {
  *out = {16106127360ULL, 16000000000ULL, 106127360ULL};
  return gpuOf(device).result;
}

Return nvmlDeviceGetMemoryInfo_v2(Device device, MemoryV2* out);
Return nvmlDeviceGetMemoryInfo_v2(Device device, MemoryV2* out) {
  std::unique_lock lock(g_fake.mutex);
  g_fake.hanging = g_fake.hang;
  g_fake.changed.notify_all();
  g_fake.changed.wait(lock, [] { return !g_fake.hang; });
  g_fake.hanging = false;
  if (out->version != kMemoryV2) return kInvalidArgument;
  out->total = 16106127360ULL;
  out->used = 1048576ULL;
  return gpuOf(device).optional_result;
}

Return nvmlDeviceGetUtilizationRates(Device device, Utilization* out);
Return nvmlDeviceGetUtilizationRates(Device device, Utilization* out) {
  *out = {37, 11};
  return gpuOf(device).optional_result;
}

Return nvmlDeviceGetPowerUsage(Device device, unsigned* out);
Return nvmlDeviceGetPowerUsage(Device device, unsigned* out) { return reading(device, out, 27000); }

Return nvmlDeviceGetClockInfo(Device device, unsigned clock, unsigned* out);
Return nvmlDeviceGetClockInfo(Device device, unsigned clock, unsigned* out) {
  return reading(device, out, clock == kClockSm ? 1590U : 5000U);
}

Return nvmlDeviceGetComputeMode(Device device, int* out);
Return nvmlDeviceGetComputeMode(Device device, int* out) {
  *out = gpuOf(device).compute_mode;
  return gpuOf(device).result;
}

Return nvmlDeviceSetComputeMode(Device device, int mode);
Return nvmlDeviceSetComputeMode(Device device, int mode) {
  if (g_fake.set_mode_result == kSuccess) gpuOf(device).compute_mode = mode;
  return g_fake.set_mode_result;
}

Return nvmlDeviceGetPersistenceMode(Device device, int* out);
Return nvmlDeviceGetPersistenceMode(Device device, int* out) {
  *out = gpuOf(device).persistence;
  return gpuOf(device).optional_result;
}

Return nvmlDeviceSetPersistenceMode(Device device, int mode);
Return nvmlDeviceSetPersistenceMode(Device device, int mode) {
  gpuOf(device).persistence = mode;
  return gpuOf(device).result;
}

Return nvmlDeviceGetComputeRunningProcesses_v3(Device device, unsigned* count, ProcessInfo* out);
Return nvmlDeviceGetComputeRunningProcesses_v3(Device device, unsigned* count, ProcessInfo* out) {
  return copyProcesses(gpuOf(device).compute, count, out);
}

Return nvmlDeviceGetMPSComputeRunningProcesses_v3(Device device, unsigned* count, ProcessInfo* out);
Return nvmlDeviceGetMPSComputeRunningProcesses_v3(Device device, unsigned* count, ProcessInfo* out) {
  return copyProcesses(gpuOf(device).mps, count, out);
}

Return nvmlEventSetCreate(EventSet* out);
Return nvmlEventSetCreate(EventSet* out) {
  *out = reinterpret_cast<EventSet>(&g_fake);
  return kSuccess;
}

Return nvmlDeviceRegisterEvents(Device device, unsigned long long types, EventSet set);
Return nvmlDeviceRegisterEvents(Device device, unsigned long long /*types*/, EventSet /*set*/) {
  return gpuOf(device).optional_result;
}

Return nvmlEventSetWait_v2(EventSet set, EventData* out, unsigned timeout_ms);
Return nvmlEventSetWait_v2(EventSet /*set*/, EventData* out, unsigned /*timeout_ms*/) {
  if (g_fake.events.empty()) return kTimeout;
  *out = g_fake.events.front();
  out->device = handleOf(g_fake.gpus.front());
  g_fake.events.pop_front();
  return kSuccess;
}

Return nvmlEventSetFree(EventSet set);
Return nvmlEventSetFree(EventSet /*set*/) {
  g_fake.events.clear();
  return kSuccess;
}

}  // extern "C"
