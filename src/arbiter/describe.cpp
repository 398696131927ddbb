// Plans in words.
#include <string>
#include <variant>
#include <vector>

#include "arbiter/arbiter.h"
#include "arbiter/explain.h"
#include "base/text.h"
#include "base/types.h"
#include "ledger/state.h"

namespace berth::arbiter {
namespace {

using ledger::Berth;

std::string gpuName(const ledger::State& state, const GpuUuid& uuid) {
  const ledger::Gpu* gpu = ledger::findGpu(state, uuid);
  if (gpu == nullptr) return uuid.value;
  return gpu->name.empty() ? target(*gpu) : target(*gpu) + " (" + gpu->name + ")";
}

std::string ownerText(const ledger::Owner& owner) {
  const std::string kind(ledger::name(owner.kind));
  return owner.name.empty() ? kind : kind + " " + owner.name;
}

std::string limitText(const std::string& limit, ledger::Rung rung) {
  if (rung == ledger::Rung::None) return limit + " (not enforced)";
  return limit + " (" + std::string(ledger::name(rung)) + ")";
}

/// "whole", "20 % compute (mps-v2), 4096 MiB (guard)", "visible"
std::string berthText(const Berth& berth) {
  std::vector<std::string> parts;
  if (berth.whole) parts.emplace_back("whole");
  if (berth.compute.value > 0) {
    parts.push_back(limitText(std::to_string(berth.compute.value) + " % compute", berth.compute_rung));
  }
  if (berth.memory.value > 0) {
    parts.push_back(limitText(std::to_string(berth.memory.value) + " MiB", berth.memory_rung));
  }
  if (berth.thread_percentage.value > 0) {
    parts.push_back("at most " + std::to_string(berth.thread_percentage.value) + " % of threads");
  }
  return parts.empty() ? "visible" : join(parts, ", ");
}

std::string kubernetesText(const ledger::Kubernetes& kubernetes) {
  if (!kubernetes.enabled) return "disabled";
  return kubernetes.kubelet_attached ? "enabled, kubelet attached" : "enabled";
}

struct Describer {
  const ledger::State& state;

  std::string operator()(const ChangeOwner& change) const {
    return gpuName(state, change.gpu) + ": " + ownerText(change.from) + " -> " + ownerText(change.to);
  }
  std::string operator()(const Grant& change) const {
    return gpuName(state, change.berth.gpu) + ": berth " + std::to_string(change.berth.id) + " for " +
           describe(change.berth.holder) + ": " + berthText(change.berth);
  }
  std::string operator()(const Revoke& change) const {
    return gpuName(state, change.berth.gpu) + ": berth " + std::to_string(change.berth.id) + " of " +
           describe(change.berth.holder) + " ends";
  }
  std::string operator()(const ChangeMode& change) const {
    const std::string text = gpuName(state, change.gpu) + ": mode " + std::string(ledger::name(change.from)) +
                             " -> " + std::string(ledger::name(change.to));
    return change.restart_containers ? text + ", containers restart" : text;
  }
  std::string operator()(const ChangeKubernetes& change) const {
    return "kubernetes: " + kubernetesText(change.from) + " -> " + kubernetesText(change.to);
  }
  std::string operator()(const ChangeLoan& change) const {
    const std::string gpu = gpuName(state, change.gpu());
    if (!change.to) return gpu + ": the loan by vm " + change.from->vm + " ends";
    return gpu + (change.to->recalled ? ": called back by vm " : ": lent by vm ") + change.to->vm;
  }
};

}  // namespace

std::string describe(const Change& change, const ledger::State& state) {
  return std::visit(Describer{state}, change);
}

}  // namespace berth::arbiter
