#include "service/service.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/text.h"
#include "service/submit.h"

namespace berth::service {
namespace {

/// Whether two manifests ask for the same, wherever they stand.
bool sameAsked(manifest::Workload a, manifest::Workload b) {
  for (manifest::Workload* each : {&a, &b}) {
    each->place = {};
    for (manifest::Container& container : each->containers) container.gpu.place = {};
  }
  return a == b;
}

Error noSuchWorkload(const std::string& name) {
  return Error{ErrorCode::NotFound, "there is no workload " + name, {}, {}};
}

/// What is known before it runs: an image's own user is not looked at.
bool isOtherUser(const manifest::Container& spec) { return spec.run_as_user.value_or(0) != 0; }

arbiter::ContainerClaim claimOf(const manifest::Container& spec, const ContainerRecord& record) {
  arbiter::ContainerClaim claim;
  claim.holder = {ledger::HolderKind::Container, record.name};
  claim.whole = spec.gpu.whole;
  claim.named = spec.gpu.visible;
  claim.thread_percentage = spec.gpu.thread_percentage;
  claim.compute = spec.gpu.compute;
  claim.memory = spec.gpu.memory;
  claim.best_effort = spec.gpu.best_effort;
  claim.other_user = isOtherUser(spec);
  claim.place = manifest::text(spec.gpu.place);
  return claim;
}

/// The containers that MPS, which is root's, would not take.
std::set<ledger::Holder> otherUsers(const Book& book) {
  std::set<ledger::Holder> holders;
  for (const auto& [name, workload] : book.workloads) {
    for (const ContainerRecord& c : workload->containers) {
      const manifest::Container& spec = workload->spec.containers.at(static_cast<std::size_t>(c.spec));
      if (isOtherUser(spec)) holders.insert({ledger::HolderKind::Container, c.name});
    }
  }
  return holders;
}

std::vector<std::string> texts(const std::vector<manifest::Warning>& warnings) {
  std::vector<std::string> lines;
  lines.reserve(warnings.size());
  for (const manifest::Warning& warning : warnings) {
    lines.push_back(manifest::text(warning.place) + ": " + warning.message);
  }
  return lines;
}

}  // namespace

Result<const ledger::Gpu*> gpuByText(const ledger::State& state, const std::string& text) {
  if (const ledger::Gpu* gpu = ledger::findGpuByText(state, text)) return gpu;
  std::vector<std::string> known;
  for (const ledger::Gpu& gpu : state.gpus) {
    known.push_back(std::to_string(gpu.index) + " (" + gpu.uuid.value + ")");
  }
  return fail(ErrorCode::NotFound, "there is no GPU \"" + text + "\"; this device has " +
                                       (known.empty() ? std::string("none") : join(known, ", ")));
}

Result<Accepted> Service::submit(Operation operation, DryRun dry_run,
                                 const std::function<Result<arbiter::Plan>(Draft&, Operation&)>& change) {
  return submitChange(desk_, std::move(operation), dry_run, change);
}

Result<void> Service::checkImages(const manifest::Manifest& manifest, DryRun dry_run,
                                  std::vector<std::string>& warnings) {
  std::set<std::string> seen;
  for (const manifest::Workload& workload : manifest.workloads) {
    for (const manifest::Container& container : workload.containers) {
      if (!seen.insert(container.image).second) continue;
      Result<std::string> id = engine_.imageId(container.image);
      if (id) continue;
      if (dry_run == DryRun::Yes) {
        warnings.push_back(container.image + ": " + id.error().message);
        continue;
      }
      return fail(
          std::move(id).during(manifest::text(workload.place) + ": container " + container.name).error());
    }
  }
  return {};
}

Result<arbiter::Plan> Service::place(Draft& draft, const std::vector<const WorkloadRecord*>& workloads) {
  arbiter::ClaimContainers claims;
  for (const WorkloadRecord* workload : workloads) {
    for (const ContainerRecord& record : workload->containers) {
      const manifest::Container& spec = workload->spec.containers.at(static_cast<std::size_t>(record.spec));
      if (spec.gpu.any()) claims.containers.push_back(claimOf(spec, record));
    }
  }
  return draft.decide(claims, desk_.policy());
}

Result<Accepted> Service::apply(std::string_view text, const std::string& file, DryRun dry_run) {
  TRY(const manifest::Manifest manifest, manifest::parse(text, file));
  Operation operation;
  operation.kind = "apply";
  operation.subject = file;
  operation.warnings = texts(manifest.warnings);
  TRY_VOID(checkImages(manifest, dry_run, operation.warnings));
  return submit(operation, dry_run, [&](Draft& draft, Operation& op) -> Result<arbiter::Plan> {
    std::vector<const WorkloadRecord*> fresh;
    for (const manifest::Workload& spec : manifest.workloads) {
      const std::string& name = spec.name.value;
      if (const auto old = draft.book.workloads.find(name); old != draft.book.workloads.end()) {
        if (old->second->desired == Desired::Deleted) {
          return fail(
              nameTaken(name, "its workload is being deleted", "wait until `berth workload list` lacks it"));
        }
        if (!sameAsked(old->second->spec, spec)) {
          return fail(
              nameTaken(name, "a workload with another definition has it", "berth workload delete " + name));
        }
        op.warnings.push_back(name + ": unchanged, it is " + std::string(stateName(*old->second)));
        continue;
      }
      WorkloadRecord record;
      record.spec = spec;
      record.source = file;
      record.created = draft.now;
      record.containers = initialContainers(spec);
      draft.putWorkload(std::move(record));
      draft.event("workload.created", name, std::string(manifest::name(spec.kind)) + " from " + file);
      op.targets.push_back(name);
      fresh.push_back(draft.book.workloads.at(name).get());
    }
    return place(draft, fresh);
  });
}

Result<Accepted> Service::deleteManifest(std::string_view text, const std::string& file, DryRun dry_run) {
  TRY(const manifest::Manifest manifest, manifest::parse(text, file));
  const std::shared_ptr<const Book> book = desk_.book();
  std::vector<std::string> names;
  std::vector<std::string> warnings;
  for (const manifest::Workload& workload : manifest.workloads) {
    const std::string& name = workload.name.value;
    if (book->workloads.contains(name)) {
      names.push_back(name);
    } else {
      warnings.push_back("there is no workload " + name);
    }
  }
  if (names.empty()) return fail(ErrorCode::NotFound, join(warnings, "; "));
  return deleteNamed(names, file, std::move(warnings), dry_run);
}

Result<Accepted> Service::deleteWorkload(const std::string& name, DryRun dry_run) {
  return deleteNamed({name}, name, {}, dry_run);
}

Result<Accepted> Service::deleteNamed(const std::vector<std::string>& names, const std::string& subject,
                                      std::vector<std::string> warnings, DryRun dry_run) {
  Operation operation;
  operation.kind = "delete";
  operation.subject = subject;
  operation.targets = names;
  operation.warnings = std::move(warnings);
  return submit(operation, dry_run, [&](Draft& draft, Operation& /*op*/) -> Result<arbiter::Plan> {
    for (const std::string& name : names) {
      WorkloadRecord* workload = draft.workload(name);
      if (workload == nullptr) return fail(noSuchWorkload(name));
      workload->desired = Desired::Deleted;
    }
    return arbiter::Plan{};
  });
}

Result<Accepted> Service::stopWorkload(const std::string& name, DryRun dry_run) {
  Operation operation;
  operation.kind = "stop";
  operation.subject = name;
  operation.targets = {name};
  return submit(operation, dry_run, [&](Draft& draft, Operation& /*op*/) -> Result<arbiter::Plan> {
    WorkloadRecord* workload = draft.workload(name);
    if (workload == nullptr) return fail(noSuchWorkload(name));
    if (workload->desired == Desired::Deleted) return fail(ErrorCode::Conflict, name + " is being deleted");
    workload->desired = Desired::Stopped;
    return arbiter::Plan{};
  });
}

Result<Accepted> Service::startWorkload(const std::string& name, DryRun dry_run) {
  Operation operation;
  operation.kind = "start";
  operation.subject = name;
  operation.targets = {name};
  return submit(operation, dry_run, [&](Draft& draft, Operation& op) -> Result<arbiter::Plan> {
    WorkloadRecord* workload = draft.workload(name);
    if (workload == nullptr) return fail(noSuchWorkload(name));
    if (workload->desired == Desired::Deleted) return fail(ErrorCode::Conflict, name + " is being deleted");
    if (workload->desired == Desired::Running && workload->outcome == Outcome::None) {
      op.warnings.push_back(name + " runs already");
      return arbiter::Plan{};
    }
    const auto ended = [](const ContainerRecord& c) { return c.phase == Phase::Done; };
    if (!std::ranges::all_of(workload->containers, ended)) {
      return fail(ErrorCode::Conflict, name + " is still being stopped");
    }
    workload->desired = Desired::Running;
    workload->outcome = Outcome::None;
    workload->succeeded = 0;
    workload->failed = 0;
    workload->message.clear();
    workload->created = draft.now;
    std::vector<ContainerRecord> fresh = initialContainers(workload->spec);
    for (ContainerRecord& c : fresh) {
      const auto old = std::ranges::find(workload->containers, c.name, &ContainerRecord::name);
      if (old != workload->containers.end()) c.engine_id = old->engine_id;  // Removed when it is started.
    }
    workload->containers = std::move(fresh);
    return place(draft, {workload});
  });
}

Result<Accepted> Service::reserve(const std::string& name, int gpus, DryRun dry_run) {
  if (!isDnsName(name)) {
    return fail(ErrorCode::InvalidArgument,
                "\"" + name + "\" is no name: use a-z, 0-9 and '-', 63 characters at most");
  }
  if (gpus < 1) return fail(ErrorCode::InvalidArgument, "a reservation needs at least one GPU");
  Operation operation;
  operation.kind = "reserve";
  operation.subject = name;
  return submit(operation, dry_run, [&](Draft& draft, Operation& op) -> Result<arbiter::Plan> {
    if (const auto old = draft.book.reservations.find(name); old != draft.book.reservations.end()) {
      if (old->second.gpus != gpus) {
        return fail(nameTaken(name, "a reservation of " + std::to_string(old->second.gpus) + " GPUs has it",
                              "berth unreserve " + name));
      }
      op.warnings.push_back(name + ": unchanged, it is reserved");
      return arbiter::Plan{};
    }
    const ledger::Holder holder{ledger::HolderKind::Reservation, name};
    TRY(arbiter::Plan plan, draft.decide(arbiter::ClaimWholeGpus{holder, gpus}, desk_.policy()));
    draft.book.reservations[name] = Reservation{gpus, draft.now};
    for (const arbiter::Change& change : plan.changes) {
      if (const auto* grant = std::get_if<arbiter::Grant>(&change))
        op.targets.push_back(grant->berth.gpu.value);
    }
    return plan;
  });
}

Result<Accepted> Service::unreserve(const std::string& name, DryRun dry_run) {
  Operation operation;
  operation.kind = "unreserve";
  operation.subject = name;
  return submit(operation, dry_run, [&](Draft& draft, Operation& /*op*/) -> Result<arbiter::Plan> {
    if (draft.book.reservations.erase(name) == 0) {
      return fail(ErrorCode::NotFound, "there is no reservation " + name);
    }
    return draft.decide(arbiter::ReleaseHolder{{ledger::HolderKind::Reservation, name}}, desk_.policy());
  });
}

Result<Accepted> Service::enableKubernetes(DryRun dry_run) {
  Operation operation;
  operation.kind = "kubernetes";
  operation.subject = "enable";
  return submit(operation, dry_run, [&](Draft& draft, Operation& /*op*/) {
    return draft.decide(arbiter::EnableKubernetes{}, desk_.policy());
  });
}

Result<Accepted> Service::disableKubernetes(DryRun dry_run) {
  Operation operation;
  operation.kind = "kubernetes";
  operation.subject = "disable";
  return submit(operation, dry_run, [&](Draft& draft, Operation& /*op*/) {
    return draft.decide(arbiter::DisableKubernetes{}, desk_.policy());
  });
}

Result<Accepted> Service::releaseFromKubernetes(const std::optional<std::string>& gpu, DryRun dry_run) {
  Operation operation;
  operation.kind = "kubernetes";
  operation.subject = "release";
  return submit(operation, dry_run, [&](Draft& draft, Operation& /*op*/) -> Result<arbiter::Plan> {
    arbiter::ReleaseFromKubernetes release;
    if (gpu) {
      TRY(const ledger::Gpu* named, gpuByText(draft.book.state, *gpu));
      release.gpu = named->uuid;
    }
    return draft.decide(release, desk_.policy());
  });
}

Result<Accepted> Service::setMode(const std::string& gpu, ledger::Mode mode, bool restart, DryRun dry_run) {
  Operation operation;
  operation.kind = "mode";
  return submit(operation, dry_run, [&](Draft& draft, Operation& op) -> Result<arbiter::Plan> {
    TRY(const ledger::Gpu* named, gpuByText(draft.book.state, gpu));
    const GpuUuid uuid = named->uuid;  // The decision replaces the state.
    op.subject = "GPU " + std::to_string(named->index);
    op.targets = {uuid.value};
    return draft.decide(arbiter::SetMode{uuid, mode, restart, otherUsers(draft.book)}, desk_.policy());
  });
}

Result<Accepted> Service::switchMps(bool on, const std::optional<std::string>& gpu, bool restart,
                                    DryRun dry_run) {
  const ledger::Mode mode = on ? ledger::Mode::Mps : ledger::Mode::TimeSlice;
  if (gpu) return setMode(*gpu, mode, restart, dry_run);
  Operation operation;
  operation.kind = "mode";
  operation.subject = on ? "MPS on all GPUs" : "no MPS on any GPU";
  return submit(operation, dry_run, [&](Draft& draft, Operation& op) -> Result<arbiter::Plan> {
    arbiter::Plan whole;
    const std::vector<ledger::Gpu> gpus = draft.book.state.gpus;
    for (const ledger::Gpu& each : gpus) {
      if (each.owner.kind == ledger::OwnerKind::Vm) {
        op.warnings.push_back("GPU " + std::to_string(each.index) + " is left alone: " + each.owner.name +
                              " has it");
        continue;
      }
      if (each.health == ledger::Health::Lost) {
        op.warnings.push_back("GPU " + std::to_string(each.index) + " is left alone: it is lost" +
                              (each.health_reason.empty() ? "" : ", " + each.health_reason) +
                              "; its mode stays " + std::string(ledger::name(each.mode)));
        continue;
      }
      if (!on && each.mode != ledger::Mode::Mps) continue;
      TRY(arbiter::Plan plan,
          draft.decide(arbiter::SetMode{each.uuid, mode, restart, otherUsers(draft.book)}, desk_.policy()));
      append(whole, std::move(plan));
      op.targets.push_back(each.uuid.value);
    }
    return whole;
  });
}

}  // namespace berth::service
