#include "ledger/ledger.h"

#include <cstdint>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/error.h"
#include "base/types.h"
#include "ledger/ledger_testing.h"
#include "ledger/records.h"
#include "ledger/schema.h"
#include "ledger/sqlite.h"
#include "ledger/state.h"

namespace berth::ledger {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::open;
using ::testing::SizeIs;
using testing::stateWith;
using testing::store;
using testing::TempDir;

WorkloadRecord workload(const std::string& name) {
  WorkloadRecord record;
  record.name = WorkloadName{name};
  record.kind = "Job";
  record.name_space = "default";
  record.source = "pods.yaml";
  record.spec = R"({"a":"'; DROP TABLE gpu; --"})";
  record.desired = "running";
  record.outcome = "none";
  record.succeeded = 1;
  record.failed = 2;
  record.message = "two failed";
  record.created = 17;
  return record;
}

ContainerRecord containerOf(const std::string& workload, const std::string& name) {
  ContainerRecord record;
  record.name = name;
  record.workload = WorkloadName{workload};
  record.pod = 3;
  record.spec = 1;
  record.phase = "exited";
  record.engine_id = ContainerId{"abc"};
  record.attempt = 4;
  record.restarts = 5;
  record.exit_code = -9;
  record.counted = true;
  record.not_before = 6;
  record.started = 7;
  record.finished = 8;
  record.mode = "mps";
  record.mps_generation = 9;
  record.message = "killed";
  return record;
}

OperationRecord operation(std::int64_t id) {
  OperationRecord record;
  record.id = id;
  record.kind = "apply";
  record.subject = "web";
  record.targets = "[1]";
  record.state = "running";
  record.percent = 40;
  record.message = "starting";
  record.error = "{}";
  record.warnings = "[]";
  record.result = "null";
  record.created = 11;
  return record;
}

template <typename Write>
void write(Ledger& ledger, Write&& body) {
  auto transaction = ledger.begin("test");
  ASSERT_TRUE(transaction);
  body(*transaction);
  const Result<void> done = transaction->commit();
  ASSERT_TRUE(done) << done.error().message;
}

#define EXPECT_OK(expr)                                                                             \
  do {                                                                                              \
    const auto expect_result = (expr);                                                              \
    EXPECT_TRUE(expect_result.has_value()) << (expect_result ? "" : expect_result.error().message); \
  } while (false)

TEST(LedgerTest, ANewLedgerIsEmpty) {
  const TempDir dir;
  const auto ledger = open(dir);
  EXPECT_EQ(*ledger->loadState(), State{});
  EXPECT_THAT(*ledger->workloads(), IsEmpty());
  EXPECT_THAT(*ledger->operations(10), IsEmpty());
  EXPECT_EQ(*ledger->lastEvent(), 0);
}

TEST(LedgerTest, EveryFieldOfTheStateComesBackAfterReopening) {
  const TempDir dir;
  State state = stateWith(3);
  Gpu& gpu = state.gpus[0];
  gpu.simulated = true;
  gpu.owner = {OwnerKind::Quarantined, "reset failed"};
  gpu.mode = Mode::Mps;
  gpu.health = Health::Unhealthy;
  gpu.health_reason = "XID 79";
  gpu.generation = INT64_MAX;
  state.berths[0].thread_percentage = Percent{20};
  state.berths[0].best_effort = true;
  state.berths[0].compute_rung = Rung::None;
  state.kubernetes = {.enabled = true, .kubelet_attached = true};
  state.next_berth = 17;
  state.loans = {{state.gpus[1].uuid, "vm1", true}};
  EXPECT_OK(store(*open(dir), State{}, state));
  EXPECT_EQ(*open(dir)->loadState(), state);
  State after = state;
  after.loans[0].recalled = false;
  EXPECT_OK(store(*open(dir), state, after));
  EXPECT_EQ(*open(dir)->loadState(), after);
  EXPECT_OK(store(*open(dir), after, State{}));
  EXPECT_EQ(*open(dir)->loadState(), State{});
}

VmRecord vmRecord(const std::string& name) {
  VmRecord vm;
  vm.name = name;
  vm.uuid = "uuid of " + name;
  vm.spec = "{}";
  vm.desired = "running";
  vm.power = "PowerState/starting";
  vm.provisioning = "Creating";
  vm.policy = "lend";
  vm.restarts_wanted = 2;
  vm.restarts_done = 1;
  vm.attempts = 3;
  vm.deadline = 4;
  vm.boot_id = "boot";
  vm.addresses = "[]";
  vm.message = "starting";
  vm.error = "{}";
  vm.created = 5;
  return vm;
}

TEST(LedgerTest, VmsAndImagesAreRewrittenComeBackAndGo) {
  const TempDir dir;
  auto ledger = open(dir);
  const ImageRecord image{"debian", "/srv/debian.vhd", "{}", "present", "importing",
                          40,       1 << 30,           "ab", "",        7};
  VmRecord stopped = vmRecord("vm1");
  stopped.desired = "stopped";
  write(*ledger, [&](Transaction& transaction) {
    EXPECT_OK(transaction.putVm(vmRecord("vm1")));
    EXPECT_OK(transaction.putVm(vmRecord("vm2")));
    EXPECT_OK(transaction.putVm(stopped));
    EXPECT_OK(transaction.putImage(image));
  });
  ledger.reset();
  ledger = open(dir);
  EXPECT_THAT(*ledger->vms(), ElementsAre(stopped, vmRecord("vm2")));
  EXPECT_THAT(*ledger->images(), ElementsAre(image));
  write(*ledger, [&](Transaction& transaction) {
    EXPECT_OK(transaction.deleteVm("vm1"));
    EXPECT_OK(transaction.deleteImage("debian"));
  });
  EXPECT_THAT(*ledger->vms(), ElementsAre(vmRecord("vm2")));
  EXPECT_THAT(*ledger->images(), IsEmpty());
}

TEST(LedgerTest, TwoVmsNeverShareAUuid) {
  const TempDir dir;
  const auto ledger = open(dir);
  VmRecord other = vmRecord("vm2");
  other.uuid = vmRecord("vm1").uuid;
  auto transaction = ledger->begin("twins");
  EXPECT_OK(transaction->putVm(vmRecord("vm1")));
  EXPECT_EQ(transaction->putVm(other).error().code, ErrorCode::Conflict);
}

TEST(LedgerTest, ALedgerOfVersion1GetsTheTablesOfVersion2AndKeepsItsContent) {
  const TempDir dir;
  const State state = stateWith(2);
  EXPECT_OK(store(*open(dir), State{}, state));
  {
    auto database = Database::open(dir.file("ledger.db"), Database::Access::ReadWrite, "");
    EXPECT_OK(database->run("DROP TABLE loan; DROP TABLE vm; DROP TABLE image; PRAGMA user_version = 1"));
  }
  const auto ledger = open(dir);
  EXPECT_EQ(*ledger->loadState(), state);
  EXPECT_THAT(*ledger->vms(), IsEmpty());
}

TEST(LedgerTest, SavingADifferenceWritesJustThat) {
  const TempDir dir;
  const auto ledger = open(dir);
  State before = stateWith(5);
  EXPECT_OK(store(*ledger, State{}, before));
  State after = before;
  after.berths.erase(after.berths.begin() + 1);
  after.berths[2].compute = Percent{9};
  after.berths.push_back(before.berths[1]);
  after.berths.back().id = 6;
  after.next_berth = 7;
  after.gpus.erase(after.gpus.begin());  // No berths on it.
  after.gpus[0].index = 0;
  EXPECT_OK(store(*ledger, before, after));
  EXPECT_EQ(*ledger->loadState(), after);
  EXPECT_OK(store(*ledger, after, State{}));
  EXPECT_EQ(*ledger->loadState(), State{});
}

TEST(LedgerTest, WorkloadsAndTheirContainersComeBackAndGoTogether) {
  const TempDir dir;
  auto ledger = open(dir);
  ContainerRecord waiting = containerOf("web", "web/1/main");
  waiting.exit_code.reset();
  write(*ledger, [&](Transaction& transaction) {
    EXPECT_OK(transaction.putWorkload(workload("web")));
    EXPECT_OK(transaction.putWorkload(workload("db")));
    EXPECT_OK(transaction.putContainer(containerOf("web", "web/0/main")));
    EXPECT_OK(transaction.putContainer(waiting));
    EXPECT_OK(transaction.putContainer(containerOf("db", "db/0/main")));
  });
  ledger.reset();
  ledger = open(dir);
  EXPECT_THAT(*ledger->workloads(), ElementsAre(workload("db"), workload("web")));
  EXPECT_THAT(*ledger->containers(),
              ElementsAre(containerOf("db", "db/0/main"), containerOf("web", "web/0/main"), waiting));
  // Rewriting a workload keeps its containers.
  write(*ledger, [&](Transaction& transaction) { EXPECT_OK(transaction.putWorkload(workload("web"))); });
  EXPECT_THAT(*ledger->containers(), SizeIs(3));
  write(*ledger, [&](Transaction& transaction) {
    EXPECT_OK(transaction.deleteWorkload(WorkloadName{"web"}));
    EXPECT_OK(transaction.deleteContainer("db/0/main"));
  });
  EXPECT_THAT(*ledger->containers(), IsEmpty());
  EXPECT_THAT(*ledger->workloads(), ElementsAre(workload("db")));
}

TEST(LedgerTest, OperationsAreRewrittenAndThoseWithoutAnEndAreFound) {
  const TempDir dir;
  const auto ledger = open(dir);
  OperationRecord done = operation(1);
  done.finished = 12;
  write(*ledger, [&](Transaction& transaction) {
    EXPECT_OK(transaction.putOperation(operation(1)));
    EXPECT_OK(transaction.putOperation(operation(2)));
    EXPECT_OK(transaction.putOperation(done));
  });
  EXPECT_THAT(*ledger->operations(10), ElementsAre(operation(2), done));
  EXPECT_THAT(*ledger->operations(1), ElementsAre(operation(2)));
  EXPECT_THAT(*ledger->unfinishedOperations(), ElementsAre(operation(2)));
}

TEST(LedgerTest, TheOldestFinishedOperationsGoAndUnfinishedOnesStay) {
  const TempDir dir;
  const auto ledger = open(dir);
  write(*ledger, [&](Transaction& transaction) {
    EXPECT_OK(transaction.putOperation(operation(1)));
    for (std::int64_t id = 2; id <= kOperationsKept + 2; ++id) {
      OperationRecord record = operation(id);
      record.finished = 1;
      EXPECT_OK(transaction.putOperation(record));
    }
  });
  const std::vector<OperationRecord> left = *ledger->operations(5000);
  EXPECT_EQ(left.size(), kOperationsKept + 1);
  EXPECT_EQ(left.back().id, 1);
  EXPECT_EQ(left[left.size() - 2].id, 3);
}

TEST(LedgerTest, AMovesStepsAreKeptInOrderWithTheirUndo) {
  const TempDir dir;
  const auto ledger = open(dir);
  JournalStep first;
  first.operation = 1;
  first.seq = 1;
  first.step = "unbind";
  first.undo = "bind nvidia";
  first.data = R"({"pci":"0000:01:00.0"})";
  JournalStep second = first;
  second.seq = 2;
  second.step = "bind vfio-pci";
  write(*ledger, [&](Transaction& transaction) {
    EXPECT_OK(transaction.putOperation(operation(1)));
    EXPECT_OK(transaction.putStep(second));
    EXPECT_OK(transaction.putStep(first));
    EXPECT_OK(transaction.setStepState(1, 1, StepState::Done));
  });
  first.state = StepState::Done;
  EXPECT_THAT(*ledger->journal(1), ElementsAre(first, second));
  EXPECT_THAT(*ledger->journal(2), IsEmpty());
}

TEST(LedgerTest, EventsAreNumberedReadInPagesAndTrimmedByCount) {
  const TempDir dir;
  const auto ledger = open(dir);
  write(*ledger, [](Transaction& transaction) {
    EXPECT_OK(transaction.putSetting(kEventsToKeep, "10"));
    for (std::int64_t seq = 1; seq <= 11; ++seq) {
      Event event{.seq = 0, .time = seq, .kind = "granted", .subject = "web", .message = "m", .data = "{}"};
      EXPECT_EQ(*transaction.appendEvent(event), seq);
    }
  });
  EXPECT_EQ(*ledger->lastEvent(), 11);
  const std::vector<Event> page = *ledger->events(0, 3);
  ASSERT_THAT(page, SizeIs(3));
  EXPECT_EQ(page[0],
            (Event{.seq = 2, .time = 2, .kind = "granted", .subject = "web", .message = "m", .data = "{}"}));
  EXPECT_THAT(*ledger->events(2, 100), SizeIs(9));
}

TEST(LedgerTest, SettingsAndReservationsArePutReadAndDeleted) {
  const TempDir dir;
  const auto ledger = open(dir);
  const Reservation vm1{.name = "vm1", .gpus = 1, .created = 5};
  write(*ledger, [&](Transaction& transaction) {
    EXPECT_OK(transaction.putSetting("mps", "on"));
    EXPECT_OK(transaction.putReservation(vm1));
  });
  EXPECT_EQ(**ledger->setting("mps"), "on");
  EXPECT_FALSE(ledger->setting("other")->has_value());
  EXPECT_THAT(*ledger->reservations(), ElementsAre(vm1));
  write(*ledger, [](Transaction& transaction) {
    EXPECT_OK(transaction.deleteSetting("mps"));
    EXPECT_OK(transaction.deleteReservation("vm1"));
  });
  EXPECT_FALSE(ledger->setting("mps")->has_value());
  EXPECT_THAT(*ledger->reservations(), IsEmpty());
}

TEST(LedgerTest, ATransactionThatIsDroppedLeavesNothing) {
  const TempDir dir;
  const auto ledger = open(dir);
  {
    auto transaction = ledger->begin("dropped");
    ASSERT_TRUE(transaction);
    EXPECT_OK(transaction->saveState(State{}, stateWith(2)));
    EXPECT_EQ(ledger->begin("second").error().code, ErrorCode::Internal);
  }
  EXPECT_EQ(*ledger->loadState(), State{});
  EXPECT_OK(store(*ledger, State{}, stateWith(2)));
}

TEST(LedgerTest, AConstraintSpoilsItsTransactionAndNoOther) {
  const TempDir dir;
  const auto ledger = open(dir);
  {
    auto transaction = ledger->begin("spoilt");
    EXPECT_OK(transaction->putSetting("key", "value"));
    EXPECT_EQ(transaction->putContainer(containerOf("none", "none/0/main")).error().code,
              ErrorCode::Conflict);
    EXPECT_FALSE(transaction->putSetting("other", "value"));
    EXPECT_FALSE(transaction->commit());
  }
  EXPECT_FALSE(ledger->setting("key")->has_value());
  EXPECT_FALSE(ledger->closedBy());
  EXPECT_OK(store(*ledger, State{}, stateWith(1)));
}

TEST(LedgerTest, ASecondOpenerIsRefusedAndToldTheHoldersPid) {
  const TempDir dir;
  auto ledger = open(dir);
  const auto second = Ledger::open(dir.path());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::Conflict);
  EXPECT_THAT(second.error().message, HasSubstr("process " + std::to_string(::getpid())));
  EXPECT_EQ(Ledger::repair(dir.path()).error().code, ErrorCode::Conflict);
  ledger.reset();
  EXPECT_NE(open(dir), nullptr);
}

TEST(LedgerTest, ANewerSchemaIsRefusedNamingBothVersionsAndLeftAlone) {
  const TempDir dir;
  open(dir).reset();
  {
    auto database = Database::open(dir.file("ledger.db"), Database::Access::ReadWrite, "");
    EXPECT_OK(database->run("PRAGMA user_version = 99"));
  }
  const auto ledger = Ledger::open(dir.path());
  ASSERT_FALSE(ledger);
  EXPECT_EQ(ledger.error().code, ErrorCode::Conflict);
  EXPECT_THAT(ledger.error().message, HasSubstr("version 99"));
  EXPECT_THAT(ledger.error().message, HasSubstr("version " + std::to_string(schemaVersion())));
  auto database = Database::open(dir.file("ledger.db"), Database::Access::ReadOnly, "");
  EXPECT_EQ(*database->integer("PRAGMA user_version"), 99);
  EXPECT_EQ(Ledger::repair(dir.path()).error().code, ErrorCode::Conflict);
}

TEST(LedgerTest, SomebodyElsesDatabaseIsNotTouched) {
  const TempDir dir;
  {
    auto database = Database::open(dir.file("ledger.db"), Database::Access::ReadWrite, "");
    EXPECT_OK(database->run("CREATE TABLE theirs (x)"));
  }
  const auto ledger = Ledger::open(dir.path());
  ASSERT_FALSE(ledger);
  EXPECT_EQ(ledger.error().code, ErrorCode::Corrupt);
  EXPECT_THAT(ledger.error().message, HasSubstr("not a ledger"));
}

TEST(LedgerTest, TablesThatAreNotOursToTheLetterAreDamage) {
  const TempDir dir;
  open(dir).reset();
  {
    auto database = Database::open(dir.file("ledger.db"), Database::Access::ReadWrite, "");
    EXPECT_OK(database->run("CREATE TRIGGER spy AFTER INSERT ON gpu BEGIN DELETE FROM berth; END"));
  }
  EXPECT_EQ(Ledger::open(dir.path()).error().code, ErrorCode::Corrupt);
}

TEST(LedgerTest, EventsCannotBeChangedInPlace) {
  const TempDir dir;
  EXPECT_OK(store(*open(dir), State{}, stateWith(1)));
  auto database = Database::open(dir.file("ledger.db"), Database::Access::ReadWrite, "");
  EXPECT_EQ(database->run("UPDATE event SET message = 'x'").error().code, ErrorCode::Conflict);
}

TEST(LedgerTest, A1AStateThatBreaksTheRulesStopsStartUpAndNamesTheRepair) {
  const TempDir dir;
  State state = stateWith(2);
  EXPECT_OK(store(*open(dir), State{}, state));
  {
    auto database = Database::open(dir.file("ledger.db"), Database::Access::ReadWrite, "");
    EXPECT_OK(database->run("UPDATE gpu SET owner_kind = 'vm', owner_name = 'vm1' WHERE position = 1"));
  }
  const auto ledger = Ledger::open(dir.path());
  ASSERT_FALSE(ledger);
  EXPECT_EQ(ledger.error().code, ErrorCode::Corrupt);
  EXPECT_THAT(ledger.error().message, HasSubstr("GPU 1 is owned by vm vm1"));
  EXPECT_THAT(ledger.error().message, HasSubstr("berthd --repair"));

  const auto report = Ledger::repair(dir.path());
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_FALSE(report->complete);
  EXPECT_THAT(report->findings, ElementsAre(HasSubstr("GPU 1 is in quarantine")));
  const State repaired = *open(dir)->loadState();
  EXPECT_EQ(repaired.gpus[1].owner.kind, OwnerKind::Quarantined);
  EXPECT_THAT(repaired.berths, IsEmpty());
  EXPECT_EQ(repaired.next_berth, state.next_berth);
}

TEST(LedgerTest, AMissingDirectoryIsAClearError) {
  EXPECT_EQ(Ledger::open("/nonexistent/berth").error().code, ErrorCode::NotFound);
  const TempDir dir;
  EXPECT_EQ(Ledger::repair(dir.path()).error().code, ErrorCode::NotFound);
}

}  // namespace
}  // namespace berth::ledger
