#include "cli/parser.h"

#include <algorithm>
#include <sstream>
#include <utility>

#include <CLI/CLI.hpp>

#include "base/text.h"
#include "cli/version.h"

namespace berth::cli {
namespace {

constexpr std::int64_t kMaxSeconds = std::int64_t{7} * 24 * 3600;
constexpr std::int64_t kMaxLifetime = std::int64_t{366} * 24 * 3600;
constexpr std::int64_t kMaxGpus = 1000;
constexpr std::int64_t kMaxPercent = 100;
constexpr std::int64_t kMaxTail = 1'000'000;
constexpr std::int64_t kMaxFaultValue = 999;
constexpr std::int64_t kMaxGiB = std::int64_t{1} << 20;
constexpr std::int64_t kMaxMiB = std::int64_t{1} << 26;
constexpr std::int64_t kMaxNotice = std::int64_t{24} * 3600;
constexpr std::int64_t kMaxLun = 63;

constexpr const char* kFooter =
    "Exit status: 0 done, 1 failed or not awaited, 2 usage, 3 refused (the reasons are on stderr).\n"
    "Example:\n  berth status";

// One of the words of "a|b|c", which is also how help and completion know them.
CLI::Option* choice(CLI::Option* option, const std::string& words) {
  const std::vector<std::string> choices = split(words, '|');
  option->check(CLI::Validator(
      [choices, words](std::string& text) {
        return std::find(choices.begin(), choices.end(), text) != choices.end()
                   ? std::string()
                   : "'" + text + "' is none of " + words;
      },
      std::string()));
  return option->type_name(words);
}

CLI::Option* number(CLI::Option* option, std::int64_t least, std::int64_t most) {
  option->check(CLI::Validator(
      [least, most](std::string& text) {
        const auto value = parseWholeNumber(text);
        return value && *value >= least && *value <= most
                   ? std::string()
                   : "'" + text + "' is not a whole number from " + std::to_string(least) + " to " +
                         std::to_string(most);
      },
      std::string()));
  return option;
}

// Builds the tree. It stays until the parsing is over: the leaves' callbacks write into `args` through it.
class Builder {
 public:
  Builder(CLI::App& app, Arguments& args) : app_(app), args_(args) {}

  void build() {
    app_.description("berth: who has which GPU on this device, and why");
    app_.footer(kFooter);
    app_.require_subcommand(1);
    app_.set_version_flag("--version", "berth " + std::string(kVersion));
    addGlobalOptions();
    leaf(app_, "status", "GPUs, workloads and reservations at a glance", "status", Verb::Status);
    addGpu();
    addManifests();
    addWorkload();
    addReservations();
    addPlan();
    addKubernetes();
    addMps();
    addHistory();
    addTokens();
    addSimulation();
    addVm();
    addImage();
    addSize();
    addOwnHelp();
    addAliases();
  }

 private:
  void addGlobalOptions() {
    app_.add_option("--socket", args_.socket,
                    "The daemon's socket (default: $BERTH_SOCKET, else /run/berth/berth.sock)")
        ->type_name("PATH");
    const std::vector<std::pair<std::string, Output>> outputs{
        {"table", Output::Table}, {"json", Output::Json}, {"yaml", Output::Yaml}};
    choice(app_.add_option_function<std::string>(
               "-o,--output",
               [this, outputs](const std::string& text) {
                 for (const auto& [word, output] : outputs) {
                   if (word == text) args_.output = output;
                 }
               },
               "How to print what comes back"),
           "table|json|yaml");
    app_.add_flag("--no-wait", args_.no_wait, "Print the operation's id instead of waiting for its end");
    number(app_.add_option("--timeout", args_.timeout_seconds, "Give up waiting after so long"), 1,
           kMaxSeconds)
        ->type_name("SECONDS");
    app_.add_flag("--no-color", args_.no_color, "No colors on a terminal either");
  }

  CLI::App& group(const std::string& name, const std::string& description) {
    CLI::App* app = app_.add_subcommand(name, description);
    app->require_subcommand(1);
    app->fallthrough();
    return *app;
  }

  CLI::App& leaf(CLI::App& parent, const std::string& name, const std::string& description,
                 const std::string& example, Verb verb) {
    CLI::App* app = parent.add_subcommand(name, description);
    app->fallthrough();
    app->footer("Example:\n  berth " + example + "\nGlobal options: see berth --help");
    app->callback([this, verb] { args_.verb = verb; });
    return *app;
  }

  // A leaf that changes something.
  CLI::App& change(CLI::App& parent, const std::string& name, const std::string& description,
                   const std::string& example, Verb verb) {
    CLI::App& app = leaf(parent, name, description, example, verb);
    app.add_flag("--dry-run", args_.dry_run, "Say what would happen and do nothing");
    return app;
  }

  // A leaf of `berth plan`.
  CLI::App& planned(CLI::App& parent, const std::string& name, const std::string& description,
                    const std::string& example, Verb verb) {
    CLI::App& app = leaf(parent, name, description, example, verb);
    app.callback([this, verb] {
      args_.verb = verb;
      args_.dry_run = true;
    });
    return app;
  }

  void name(CLI::App& app, const std::string& what, const std::string& description) {
    app.add_option(what, args_.name, description)->required()->type_name("");
  }

  void gpu(CLI::App& app) {
    app.add_option("GPU", args_.gpu, "Index, UUID, the beginning of a UUID, or PCI address")
        ->required()
        ->type_name("");
  }

  void files(CLI::App& app) {
    app.add_option("-f,--file", args_.files, "A manifest; - is the standard input; may be repeated")
        ->required()
        ->allow_extra_args(false)
        ->type_name("FILE");
  }

  void gpuMode(CLI::App& app) {
    gpu(app);
    choice(app.add_option("MODE", args_.mode, "How the GPU's containers share it")->required(),
           "exclusive|timeslice|mps");
    restart(app);
  }

  void restart(CLI::App& app) {
    app.add_flag("--restart", args_.restart, "Restart the containers that run there, if any");
  }

  void gpuCount(CLI::App& app) {
    name(app, "NAME", "The reservation's name");
    number(app.add_option("--gpus", args_.gpus, "How many whole GPUs")->required(), 1, kMaxGpus)
        ->type_name("N");
  }

  void addGpu() {
    CLI::App& gpus = group("gpu", "The GPUs of this device");
    leaf(gpus, "list", "Every GPU with its owner", "gpu list -o json", Verb::GpuList);
    gpu(leaf(gpus, "show", "One GPU, its berths and processes", "gpu show 0", Verb::GpuShow));
    gpuMode(
        change(gpus, "mode", "Change how containers share a GPU", "gpu mode 0 mps --restart", Verb::GpuMode));
  }

  void addManifests() {
    files(change(app_, "apply", "Run the workloads of a manifest", "apply -f pods.yaml", Verb::Apply));
    files(
        change(app_, "delete", "Delete the workloads a manifest names", "delete -f pods.yaml", Verb::Delete));
  }

  void addWorkload() {
    CLI::App& workloads = group("workload", "Containers that Berth runs");
    leaf(workloads, "list", "Every workload with its state", "workload list", Verb::WorkloadList);
    name(leaf(workloads, "show", "One workload and its containers", "workload show cuda-sample1",
              Verb::WorkloadShow),
         "NAME", "The workload");
    addLogs(leaf(workloads, "logs", "What its containers wrote", "workload logs -f cuda-sample1",
                 Verb::WorkloadLogs));
    name(change(workloads, "stop", "Stop it and give its GPUs back", "workload stop cuda-sample1",
                Verb::WorkloadStop),
         "NAME", "The workload");
    name(change(workloads, "start", "Start a stopped or ended one again", "workload start cuda-sample1",
                Verb::WorkloadStart),
         "NAME", "The workload");
    addSet(change(workloads, "set", "Change the share of its containers while they run",
                  "workload set nbody-a --memory 4096 --compute 30", Verb::WorkloadSet));
    name(change(workloads, "delete", "Stop it and forget it", "workload delete cuda-sample1",
                Verb::WorkloadDelete),
         "NAME", "The workload");
  }

  void addLogs(CLI::App& logs) {
    name(logs, "NAME", "The workload");
    logs.add_flag("-f,--follow", args_.follow, "Go on as more is written");
    number(logs.add_option("--tail", args_.tail, "Only the last N lines"), 0, kMaxTail)->type_name("N");
    logs.add_option("-c,--container", args_.container, "Only this container")->type_name("NAME");
  }

  void addSet(CLI::App& set) {
    name(set, "NAME", "The workload");
    set.add_option("-c,--container", args_.container, "This container, where several have a share")
        ->type_name("NAME");
    CLI::Option* memory = number(
        set.add_option("--memory", args_.memory_mib, "GPU memory of each container, in MiB"), 1, INT32_MAX);
    memory->type_name("MIB");
    CLI::Option* compute =
        number(set.add_option("--compute", args_.compute_percent, "Share of the GPU's compute, in percent"),
               1, kMaxPercent);
    compute->type_name("PERCENT");
    restart(set);
    set.callback([this, memory, compute] {
      args_.verb = Verb::WorkloadSet;
      if (memory->count() + compute->count() == 0) throw CLI::RequiredError("--memory or --compute");
    });
  }

  void addReservations() {
    gpuCount(
        change(app_, "reserve", "Keep whole GPUs for a VM to come", "reserve vm1 --gpus 1", Verb::Reserve));
    name(change(app_, "unreserve", "Give a reservation's GPUs back", "unreserve vm1", Verb::Unreserve),
         "NAME", "The reservation's name");
  }

  // Either `plan -f F`, or one of the commands that can be planned.
  void addPlan() {
    CLI::App& plan =
        planned(app_, "plan", "What a command would do, and why not", "plan -f pods.yaml", Verb::Apply);
    plan.require_subcommand(0, 1);
    CLI::Option* file =
        plan.add_option("-f,--file", args_.files, "A manifest; - is the standard input; may be repeated")
            ->allow_extra_args(false)
            ->type_name("FILE");
    plan.callback([this, &plan, file] {
      const bool has_command = !plan.get_subcommands().empty();
      if (has_command && file->count() > 0) throw CLI::ExcludesError("--file", "a command to plan");
      if (!has_command && file->count() == 0) throw CLI::RequiredError("--file, or a command to plan");
      args_.dry_run = true;
      if (!has_command) args_.verb = Verb::Apply;
    });
    gpuCount(planned(plan, "reserve", "Would there be GPUs for this reservation?",
                     "plan reserve vm1 --gpus 1", Verb::Reserve));
    CLI::App& kubernetes = planGroup(plan, "kubernetes", "What the cluster would get or give back");
    addKubernetesVerbs(kubernetes, "plan ", &Builder::planned);
    CLI::App& gpus = planGroup(plan, "gpu", "What a change of mode would mean");
    gpuMode(planned(gpus, "mode", "Change how containers share a GPU", "plan gpu mode 0 mps", Verb::GpuMode));
  }

  static CLI::App& planGroup(CLI::App& plan, const std::string& name, const std::string& description) {
    CLI::App* app = plan.add_subcommand(name, description);
    app->require_subcommand(1);
    app->fallthrough();
    return *app;
  }

  using MakeLeaf = CLI::App& (Builder::*)(CLI::App&, const std::string&, const std::string&,
                                          const std::string&, Verb);

  void addKubernetesVerbs(CLI::App& parent, const std::string& prefix, MakeLeaf make) {
    (this->*make)(parent, "enable", "Claim every free GPU", prefix + "kubernetes enable",
                  Verb::KubernetesEnable);
    (this->*make)(parent, "disable", "End the claim; nothing that runs is stopped",
                  prefix + "kubernetes disable", Verb::KubernetesDisable);
    (this->*make)(parent, "release", "Take an idle GPU back, or all of them", prefix + "kubernetes release 0",
                  Verb::KubernetesRelease)
        .add_option("GPU", args_.gpu, "Only this GPU")
        ->type_name("");
  }

  void addKubernetes() {
    CLI::App& kubernetes = group("kubernetes", "The cluster's claim on GPUs");
    addKubernetesVerbs(kubernetes, "", &Builder::change);
    leaf(kubernetes, "status", "What it owns and could claim", "kubernetes status", Verb::KubernetesStatus);
  }

  void addMps() {
    CLI::App& mps = group("mps", "NVIDIA MPS on the GPUs");
    for (const bool on : {true, false}) {
      CLI::App& app =
          on ? change(mps, "start", "Switch MPS on, for all GPUs or one", "mps start", Verb::MpsStart)
             : change(mps, "stop", "Switch MPS off, for all GPUs or one", "mps stop --gpu 0", Verb::MpsStop);
      app.add_option("--gpu", args_.gpu, "Only this GPU")->type_name("GPU");
      restart(app);
    }
    leaf(mps, "status", "MPS of every GPU", "mps status", Verb::MpsStatus);
  }

  void addHistory() {
    CLI::App& events = leaf(app_, "events", "What happened, oldest first", "events -f", Verb::Events);
    events.add_flag("-f,--follow", args_.follow, "Go on as more happens");
    number(events.add_option("--since", args_.since, "Only events later than this number"), 0, INT64_MAX)
        ->type_name("N");
    CLI::App& operations = group("operation", "Work that was asked for");
    leaf(operations, "list", "The latest operations, newest first", "operation list", Verb::OperationList);
    name(leaf(operations, "show", "One operation", "operation show op-12", Verb::OperationShow), "ID",
         "The operation");
    name(leaf(operations, "wait", "Follow one to its end", "operation wait op-12", Verb::OperationWait), "ID",
         "The operation");
  }

  void addTokens() {
    CLI::App& tokens = group("token", "Who may sign in from the network");
    CLI::App& create = leaf(tokens, "create", "Let another one sign in; prints a secret and a token, once",
                            "token create ci --role operator", Verb::TokenCreate);
    name(create, "NAME", "What it is called");
    choice(create.add_option("--role", args_.role, "What it may do (default: reader)"),
           "reader|operator|owner");
    secret(create);
    leaf(tokens, "list", "Every account with its role", "token list", Verb::TokenList);
    CLI::App& reset = leaf(tokens, "reset", "Another secret and token; those before are void",
                           "token reset EdgeArmUser", Verb::TokenReset);
    name(reset, "NAME", "The account");
    secret(reset);
    name(leaf(tokens, "revoke", "Nobody signs in by it any more", "token revoke ci", Verb::TokenRevoke),
         "NAME", "The account");
  }

  void secret(CLI::App& app) {
    app.add_option("--secret-file", args_.files,
                   "Take the secret from the file's first line; - is the standard input")
        ->expected(1)
        ->type_name("FILE");
    number(app.add_option("--lifetime", args_.lifetime_seconds, "How long the token is good"), 1,
           kMaxLifetime)
        ->type_name("SECONDS");
  }

  void addSimulation() {
    CLI::App& sim = group("sim", "The simulated driver");
    CLI::App& fault =
        leaf(sim, "fault", "Make a simulated GPU fail or recover", "sim fault 0 xid 79", Verb::SimFault);
    gpu(fault);
    choice(fault.add_option("FAULT", args_.fault, "What happens to it")->required(),
           "xid|lost|hang|ecc|thermal|recover");
    number(fault.add_option("VALUE", args_.fault_value,
                            "Of xid: its number; of ecc: how many errors; of thermal: degrees Celsius"),
           1, kMaxFaultValue)
        ->type_name("");
    fault.callback([this] {
      args_.verb = Verb::SimFault;
      const bool needs_value = args_.fault == "xid" || args_.fault == "ecc" || args_.fault == "thermal";
      if (needs_value && !args_.fault_value)
        throw CLI::RequiredError("VALUE, the number of " + args_.fault + ",");
      if (!needs_value && args_.fault_value) throw CLI::ExtrasError({std::to_string(*args_.fault_value)});
    });
    leaf(sim, "status", "What the simulated driver holds", "sim status", Verb::SimStatus);
  }

  void addOwnHelp() {
    CLI::App& completion = leaf(app_, "completion", "A completion script for a shell",
                                "completion bash > /etc/bash_completion.d/berth", Verb::Completion);
    choice(completion.add_option("SHELL", args_.name, "The shell")->required(), "bash|zsh|fish");
    leaf(app_, "version", "The version of this program", "version", Verb::Version);
  }

  void addAliases() {
    alias("Start-HcsGpuMPS", "Switch MPS on, as the appliance's shell does", Verb::HcsStartMps);
    alias("Stop-HcsGpuMPS", "Switch MPS off, as the appliance's shell does", Verb::HcsStopMps);
    alias("Get-HcsGpuNvidiaSmi", "An nvidia-smi table, as in the appliance's shell", Verb::HcsNvidiaSmi);
    alias("Get-HcsNvidiaSmi", "The same", Verb::HcsNvidiaSmi);
    addCustomSizeAliases();
  }

  CLI::App& vmLeaf(CLI::App& parent, const std::string& name_of_it, const std::string& description,
                   const std::string& example, Verb verb) {
    CLI::App& app = change(parent, name_of_it, description, example, verb);
    name(app, "NAME", "The virtual machine");
    return app;
  }

  void vmCreateOptions(CLI::App& app) {
    VmArguments& vm = args_.vm;
    app.add_option("--size", vm.size, "One of `berth size list`")->required()->type_name("SIZE");
    app.add_option("--image", vm.image, "One of `berth image list`")->required()->type_name("IMAGE");
    app.add_option("--user", vm.user, "Who may log in; needed unless the image is specialized")
        ->type_name("USER");
    app.add_option("--password-file", vm.password_file,
                   "The user's password, one line; - is the standard input")
        ->type_name("FILE");
    app.add_option("--ssh-key", vm.ssh_key_files, "A public key for the user; may be repeated")
        ->allow_extra_args(false)
        ->type_name("FILE");
    app.add_option("--custom-data", vm.custom_data_file,
                   "Given to the guest at its first boot, at most 64 KiB")
        ->type_name("FILE");
    number(app.add_option("--os-disk", vm.os_disk_gib, "Size of the OS disk (default: the image's)"), 1,
           kMaxGiB)
        ->type_name("GIB");
    app.add_option("--data-disk", vm.data_disks_gib, "A data disk of so many GiB; may be repeated")
        ->allow_extra_args(false)
        ->type_name("GIB");
    app.add_option(
           "--network", vm.networks,
           "A NIC: default, none, network:NAME or bridge:NAME, and ,ADDRESS/PREFIX for a static one; may be "
           "repeated")
        ->allow_extra_args(false)
        ->type_name("NET");
    choice(app.add_option("--hold", vm.hold, "What deallocation does with its GPUs (default: hold)"),
           "hold|lend|release");
    recallOptions(app);
  }

  void recallOptions(CLI::App& app) {
    number(app.add_option("--notice", args_.vm.notice_seconds,
                          "How long the users of lent GPUs have when the VM starts (default: 30)"),
           0, kMaxNotice)
        ->type_name("SECONDS");
    choice(app.add_option("--at-deadline", args_.vm.at_deadline, "Then they are stopped, or the start fails"),
           "stop|fail");
  }

  void force(CLI::App& app) { app.add_flag("--force", args_.vm.force, "Do not ask the guest"); }

  void addVm() {
    CLI::App& vms = group("vm", "Virtual machines");
    vmCreateOptions(
        vmLeaf(vms, "create", "Make one and start it",
               "vm create vm1 --size Standard_NC4as_T4_v3 --image debian --user me --ssh-key id.pub",
               Verb::VmCreate));
    leaf(vms, "list", "Every VM with its states", "vm list", Verb::VmList);
    name(leaf(vms, "show", "One VM, its GPUs, NICs and disks", "vm show vm1", Verb::VmShow), "NAME",
         "The virtual machine");
    vmLeaf(vms, "start", "Start it; a deallocated one needs its GPUs", "vm start vm1", Verb::VmStart);
    force(vmLeaf(vms, "stop", "Power it off; it keeps its GPUs", "vm stop vm1", Verb::VmStop));
    vmLeaf(vms, "restart", "Restart the guest", "vm restart vm1", Verb::VmRestart);
    force(vmLeaf(vms, "deallocate", "Power it off; its GPUs are held, lent or released", "vm deallocate vm1",
                 Verb::VmDeallocate));
    vmLeaf(vms, "delete", "End it and forget it, disks included", "vm delete vm1", Verb::VmDelete);
    vmLeaf(vms, "resize", "Give a VM that is off another size", "vm resize vm1 Standard_NC8as_T4_v3",
           Verb::VmResize)
        .add_option("SIZE", args_.vm.size, "One of `berth size list`")
        ->required()
        ->type_name("");
    CLI::App& hold =
        vmLeaf(vms, "hold", "What deallocation does with its GPUs", "vm hold vm1 lend", Verb::VmHold);
    choice(hold.add_option("POLICY", args_.vm.hold, "Kept, lent to containers until it starts, or given up")
               ->required(),
           "hold|lend|release");
    recallOptions(hold);
    CLI::App& disk =
        vmLeaf(vms, "disk", "Add or grow a data disk of a VM that is off", "vm disk vm1 0 32", Verb::VmDisk);
    number(disk.add_option("LUN", args_.vm.lun, "The disk's place")->required(), 0, kMaxLun)->type_name("");
    number(disk.add_option("GIB", args_.vm.gib, "Its size")->required(), 1, kMaxGiB)->type_name("");
    addExtension(vms);
    name(leaf(vms, "console", "The serial port; Ctrl-] leaves it", "vm console vm1", Verb::VmConsole), "NAME",
         "The virtual machine");
  }

  void extensionName(CLI::App& app) {
    app.add_option("EXTENSION", args_.vm.extension, "The extension's name")->required()->type_name("");
    waiting(app);
  }
  void waiting(CLI::App& app) {
    app.add_flag("--wait", args_.vm.wait, "Wait for the end, which may take many minutes");
  }

  void addExtension(CLI::App& vms) {
    CLI::App* extensions = vms.add_subcommand("extension", "The GPU driver in guests");
    extensions->require_subcommand(1);
    extensions->fallthrough();
    CLI::App& add = leaf(*extensions, "add", "Install the driver, or another version of it",
                         "vm extension add vm1 --wait", Verb::VmExtensionAdd);
    name(add, "VM", "The virtual machine");
    add.add_option("--name", args_.vm.extension, "The extension's name")
        ->default_val("gpu-driver")
        ->type_name("NAME");
    choice(add.add_option("--type", args_.vm.extension_type, "Default: the one for the VM's system"),
           "NvidiaGpuDriverLinux|NvidiaGpuDriverWindows");
    add.add_option("--settings", args_.vm.settings,
                   "Such as {\"driverVersion\": \"535.1\"}, or the file with it; - is the standard input")
        ->type_name("JSON");
    waiting(add);
    name(leaf(*extensions, "list", "Those of a VM with their states", "vm extension list vm1",
              Verb::VmExtensionList),
         "VM", "The virtual machine");
    CLI::App& retry = leaf(*extensions, "retry", "Try a failed installation again",
                           "vm extension retry vm1 gpu-driver", Verb::VmExtensionRetry);
    name(retry, "VM", "The virtual machine");
    extensionName(retry);
    CLI::App& remove = leaf(*extensions, "remove", "Remove the driver again",
                            "vm extension remove vm1 gpu-driver", Verb::VmExtensionRemove);
    name(remove, "VM", "The virtual machine");
    extensionName(remove);
  }

  void addImage() {
    CLI::App& images = group("image", "Disk images for virtual machines");
    CLI::App& add = change(images, "add", "Import one from a file: VHD, VHDX, qcow2 or raw",
                           "image add debian /srv/debian.vhd", Verb::ImageAdd);
    name(add, "NAME", "The image's name");
    add.add_option("FILE", args_.vm.file, "A file of the device")->required()->type_name("");
    choice(add.add_option("--os", args_.vm.os, "What is in it (default: Linux)"), "Linux|Windows");
    choice(
        add.add_option("--generation", args_.vm.generation, "V1 boots with BIOS, V2 with UEFI (default: V1)"),
        "V1|V2");
    add.add_flag("--specialized", args_.vm.specialized,
                 "It has its users already; nothing is set at first boot");
    add.add_option("--sha256", args_.vm.sha256, "The checksum the file must have")->type_name("HEX");
    leaf(images, "list", "Every image with its state", "image list", Verb::ImageList);
    name(change(images, "remove", "Remove one that no VM uses", "image remove debian", Verb::ImageRemove),
         "NAME", "The image");
  }

  void addSize() {
    CLI::App& sizes = group("size", "Sizes of virtual machines");
    leaf(sizes, "list", "Those this device offers", "size list", Verb::SizeList)
        .add_flag("--all", args_.vm.all, "Those of other GPU models too");
    CLI::App& add = leaf(sizes, "add", "Add one of your own",
                         "size add small --vcpus 2 --memory 4096 --gpus 1 --gpu-model T4", Verb::SizeAdd);
    name(add, "NAME", "The size's name");
    number(add.add_option("--vcpus", args_.vm.vcpus, "Virtual CPUs")->required(), 1, kMaxGpus)
        ->type_name("N");
    number(add.add_option("--memory", args_.vm.memory_mib, "Memory")->required(), 1, kMaxMiB)
        ->type_name("MIB");
    number(add.add_option("--gpus", args_.gpus, "Whole GPUs")->default_val(0), 0, kMaxGpus)->type_name("N");
    add.add_option("--gpu-model", args_.vm.gpu_model, "Their model, T4 or A2")->type_name("MODEL");
    name(leaf(sizes, "remove", "Remove one that you added", "size remove small", Verb::SizeRemove), "NAME",
         "The size");
  }

  void addCustomSizeAliases() {
    alias("Get-HcsVMCustomSizes", "The custom sizes, as the appliance's shell prints them",
          Verb::HcsGetCustomSizes);
    CLI::App& set = leaf(app_, "Set-HcsVMCustomSizes", "Change them, as in the appliance's shell",
                         "Set-HcsVMCustomSizes -CustomVMSizesJson \"[{'Name':'Custom_NonGPU','Cores':4,"
                         "'MemoryMb':8192}]\"",
                         Verb::HcsSetCustomSizes);
    set.ignore_case()->group("The appliance's names");
    set.add_option("--CustomVMSizesJson", args_.vm.sizes_text, "The sizes to change")
        ->required()
        ->ignore_case()
        ->type_name("TEXT");
    for (CLI::App* app : {&set, app_.get_subcommand("Get-HcsVMCustomSizes")}) {
      app->add_flag("--JsonFormat", args_.vm.real_json, "Print with double quotes")->ignore_case();
    }
  }

  void alias(const std::string& name, const std::string& description, Verb verb) {
    leaf(app_, name, description, name, verb).ignore_case()->group("The appliance's names");
  }

  CLI::App& app_;
  Arguments& args_;
};

OptionNode describe(const CLI::Option& option) {
  OptionNode node;
  node.description = option.get_description();
  node.required = option.get_required();
  if (option.get_positional()) {
    node.names.push_back(option.get_name(true));
  } else {
    for (const std::string& letter : option.get_snames()) node.names.push_back("-" + letter);
    for (const std::string& word : option.get_lnames()) node.names.push_back("--" + word);
  }
  if (option.get_items_expected_max() > 0) node.value = option.get_type_name();
  if (node.value.find('|') != std::string::npos) node.choices = split(node.value, '|');
  return node;
}

CommandNode describe(const CLI::App& app) {
  CommandNode node{app.get_name(), app.get_description(), app.get_footer(), {}, {}, {}};
  for (const CLI::Option* option : app.get_options()) {
    (option->get_positional() ? node.positionals : node.options).push_back(describe(*option));
  }
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    node.commands.push_back(describe(*command));
  }
  return node;
}

}  // namespace

namespace {

/// The appliance's shell writes long options with one dash.
std::vector<std::string> withTwoDashes(std::vector<std::string> words) {
  const bool appliance = !words.empty() && toLower(words.front()).ends_with("-hcsvmcustomsizes");
  for (std::string& word : words) {
    const std::string lower = toLower(word);
    if (appliance && (lower == "-customvmsizesjson" || lower == "-jsonformat")) word.insert(0, "-");
  }
  return words;
}

}  // namespace

std::variant<Arguments, Notice> parse(const std::vector<std::string>& given) {
  const std::vector<std::string> words = withTwoDashes(given);
  Arguments args;
  if (words == std::vector<std::string>{"--man"}) {
    args.verb = Verb::ManPage;
    return args;
  }
  CLI::App app("", "berth");
  Builder builder(app, args);
  builder.build();
  try {
    app.parse(std::vector<std::string>(words.rbegin(), words.rend()));
    return args;
  } catch (const CLI::ParseError& error) {
    std::ostringstream out;
    std::ostringstream err;
    const int status = app.exit(error, out, err);
    if (status == 0) return Notice{http::ExitStatus::Done, out.str()};
    return Notice{http::ExitStatus::Usage, "berth: " + err.str()};
  }
}

CommandNode commandTree() {
  Arguments args;
  CLI::App app("", "berth");
  Builder builder(app, args);
  builder.build();
  return describe(app);
}

}  // namespace berth::cli
