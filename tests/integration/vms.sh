#!/usr/bin/env bash
# Virtual machines for real: QEMU guests (TCG) under a libvirt of the test's own. vms.sh GROUP:
#   order  table A4, every row
#   holds  A7, B7 and B8: what stopping, deallocating and restarts mean for a GPU
#   away   a box without libvirt, and libvirt that restarts in the middle
#   lend   B7: a container uses a lent GPU when its VM wants it back
#   extension  the GPU driver extension: a bundle fails, is replaced by one that works, outlives a restart, is removed
#   guest  a Linux guest that boots: its stand-in GPU, its login prompt, a data disk that outlives daemon and libvirtd
set -uo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=vm_lib.sh
. "$(dirname "$0")/vm_lib.sh"
need_libvirt

kubernetes_has() { expect_json ".enabled and (.gpus | length) == $1" berth kubernetes status; }
k8s() { expect_status 0 berth kubernetes enable; }

row() {
  say "A4 on $1: $2"
  fresh_vms "$1"
}

order() {
  row t4:1 "VM, K8s"
  create_vm 0 vm1
  k8s
  kubernetes_has 0
  vm_is vm1 running
  nvml_lists ""

  row t4:1 "K8s, VM"
  k8s
  create_vm 3 vm1
  expect_err "GPU 0: owned by kubernetes, idle" "berth kubernetes release 0"
  kubernetes_has 1
  expect_no_vms_left
  say "A4: K8s, VM without GPU"
  create_vm 0 vm2 plain
  kubernetes_has 1

  row t4:2 "VM, K8s, VM"
  create_vm 0 vm1
  k8s
  kubernetes_has 1
  nvml_lists 1
  create_vm 3 vm2
  expect_err "GPU 0: held by vm vm1" "GPU 1: owned by kubernetes, idle"
  kubernetes_has 1

  row t4:2 "VM, VM, K8s"
  create_vm 0 vm1
  create_vm 0 vm2
  k8s
  kubernetes_has 0
  say "A1: a third VM finds both held, by name (B17)"
  create_vm 3 vm3
  expect_err "held by vm vm1" "held by vm vm2"

  row t4:2 "K8s, VM"
  k8s
  create_vm 3 vm1
  kubernetes_has 2

  row t4:1 "VM, VM"
  create_vm 0 vm1
  create_vm 3 vm2
  expect_err "held by vm vm1" "berth vm delete vm1"
  expect_status 0 berth vm delete vm1
  expect_no_vms_left

  say "B5: under elastic the order no longer matters"
  fresh_vms t4:1 --arbitration elastic
  k8s
  create_vm 0 vm1
  kubernetes_has 0
  expect_owners vm
}

holds() {
  fresh_vms t4:1
  create_vm 0 vm1
  expect_json '.simulated and .gpus[0].index == 0 and .accelerator == "tcg"' berth vm show vm1
  say "A7: powered off it keeps its GPU"
  expect_status 0 berth vm stop vm1 --force
  vm_is vm1 stopped
  k8s
  kubernetes_has 0
  create_vm 3 vm2
  expect_status 0 berth vm start vm1
  vm_is vm1 running
  say "B7: hold"
  expect_status 0 berth vm deallocate vm1 --force
  vm_is vm1 deallocated
  k8s
  kubernetes_has 0
  expect_status 0 berth vm start vm1
  expect_json '.gpus | length == 1' berth vm show vm1
  say "B7: lend: kubernetes may have it, no other VM, and the lender takes it back"
  expect_status 0 berth vm hold vm1 lend --notice 1
  expect_status 0 berth vm deallocate vm1 --force
  expect_json '.lent == [0]' berth vm show vm1
  nvml_lists 0
  k8s
  kubernetes_has 1
  create_vm 3 vm2
  expect_err "lent by vm vm1"
  expect_status 0 berth vm start vm1
  kubernetes_has 0
  nvml_lists ""
  say "B7: release: whoever comes first has it, and the VM is refused with the holder's name"
  expect_status 0 berth vm hold vm1 release
  expect_status 0 berth vm deallocate vm1 --force
  expect_owners free
  create_vm 0 vm2
  expect_status 3 berth vm start vm1
  expect_err "held by vm vm2"
  vm_is vm1 deallocated
  say "B8: kill -9 of the daemon leaves the guest; a new one knows it"
  local before
  before=$(owners)
  kill_daemon
  domain_is vm2 running || fail "the guest ended with the daemon"
  start_vm_daemon t4:1 || return
  expect_same "owners after kill -9" "$before" "$(owners)"
  vm_is vm2 running
  say "B8: after the host went down what ran runs, what was deallocated does not"
  stop_daemon
  virsh -q -c "$libvirt_uri" destroy berth-vm2 >/dev/null
  sqlite3 "$state/ledger.db" "UPDATE vm SET boot_id = 'another boot' WHERE name = 'vm2'" || fail "sqlite3"
  start_vm_daemon t4:1 || return
  wait_until "$wait_s" domain_is vm2 running || fail "vm2 does not run again: $(domains)"
  vm_is vm1 deallocated
  expect_status 0 berth vm delete vm1
  expect_status 0 berth vm delete vm2
  expect_no_vms_left
}

away() {
  say "A box without libvirt runs, and its VM verbs say what is missing"
  local uri=$libvirt_uri
  sed -i "s|^libvirtUri:.*|libvirtUri: \"qemu:///system?socket=$work/none\"|" "$work/berthd.yaml"
  fresh_vms t4:1
  create_vm 1 vm1
  expect_err "virtual machines need libvirt" "libvirtUri"
  expect_owners free
  expect_json 'length == 0' berth vm list
  sed -i "s|^libvirtUri:.*|libvirtUri: \"$uri\"|" "$work/berthd.yaml"
  say "libvirtd that restarts is found again, and the guest has not noticed"
  stop_daemon
  start_vm_daemon t4:1 || return
  create_vm 0 vm1
  local pid
  pid=$(cat "$libvirt_dir/libvirtd.pid")
  kill "$pid"
  wait_until "$wait_s" gone "$pid"
  expect_status 1 berth vm stop vm1 --force
  expect_err "virtual machines need libvirt"
  vm_is vm1 running
  start_libvirt || fail "libvirtd does not start again"
  domain_is vm1 running || fail "the guest is gone: $(domains)"
  expect_status 0 berth vm stop vm1 --force
  expect_status 0 berth vm delete vm1
  say "Bad input"
  expect_status 1 berth vm create vm1 --size nope --image halt --network none
  expect_status 1 berth vm create vm1 --size halt --image nope --network none
  expect_status 3 berth vm create vm1 --size Standard_NC4as_A2 --image halt --network none
  expect_err "A2"
  expect_status 2 berth vm create Bad_Name --size halt --image halt --network none
  : >"$work/empty.raw"
  expect_status 2 berth image add empty "$work/empty.raw"
  expect_json 'length == 1' berth image list
  say "Twenty VMs made at once and deleted at once leave no domain, file, process, hold or row"
  local number
  for number in $(seq 20); do
    expect_status 0 berth --no-wait vm create "many$number" --size plain --image halt --network none
  done
  expect_soon 'length == 20 and all(.[]; .powerState == "PowerState/running")' vm list
  for number in $(seq 20); do expect_status 0 berth --no-wait vm delete "many$number"; done
  expect_soon 'length == 0' vm list
  expect_same "guests" 0 "$(guests)"
  expect_no_vms_left
}

lend() {
  need_engine
  cat >"$work/pod.yaml" <<'YAML'
apiVersion: v1
kind: Pod
metadata: {name: borrower}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: nvidia/samples:nbody
    command: ["sleep", "1000"]
    env:
    - {name: NVIDIA_VISIBLE_DEVICES, value: "0"}
YAML
  fresh_vms t4:1
  create_vm 0 vm1
  expect_status 3 berth apply -f "$work/pod.yaml"
  expect_err "held by vm vm1"
  say "B7: the notice is over and the start fails; the borrower stays"
  expect_status 0 berth vm hold vm1 lend --notice 1 --at-deadline fail
  expect_status 0 berth vm deallocate vm1 --force
  expect_status 0 berth apply -f "$work/pod.yaml"
  expect_status 3 berth vm start vm1
  expect_err "lent, and used by container borrower/0/main"
  vm_is vm1 deallocated
  expect_json '.state == "running"' berth workload show borrower
  say "B7: or it is stopped, and the VM has its GPU"
  expect_status 0 berth vm hold vm1 lend --notice 1 --at-deadline stop
  expect_status 0 berth vm start vm1
  vm_is vm1 running
  expect_json '.state == "stopped"' berth workload show borrower
  expect_owners vm
  say "B7: no notice is needed when the borrower ends"
  expect_status 0 berth vm deallocate vm1 --force
  expect_status 0 berth workload start borrower
  expect_status 0 berth --no-wait vm start vm1
  expect_soon '.calledBack or .powerState == "PowerState/running"' vm show vm1
  expect_status 0 berth workload delete borrower
  expect_soon '.powerState == "PowerState/running"' vm show vm1
  expect_status 0 berth vm delete vm1
  expect_no_vms_left
}

# What a command says inside of vm1, through the guest agent.
in_guest() { # COMMAND
  local pid answer tries
  pid=$(agent "$(jq -cn --arg c "$1" '{execute: "guest-exec", arguments: {path: "/bin/sh", arg: ["-c", $c], "capture-output": true}}')" |
    jq -r .return.pid) || return 1
  for tries in $(seq 300); do
    answer=$(agent "{\"execute\": \"guest-exec-status\", \"arguments\": {\"pid\": $pid}}") || return 1
    jq -e .return.exited <<<"$answer" >/dev/null && break
    sleep 0.1
  done
  : "$tries"
  jq -r '.return."out-data" // "" | @base64d' <<<"$answer"
}
agent() { virsh -q -c "$libvirt_uri" qemu-agent-command berth-vm1 "$1" 2>/dev/null; }
# shellcheck disable=SC2317  # Called by wait_until.
agent_answers() { agent '{"execute": "guest-ping"}' >/dev/null; }
booted() { wait_until 240 agent_answers || fail "the guest's agent does not answer: $(domains)"; }

tiny_guest() { # Sets image.
  image=$(timeout 280 "$BERTH_SOURCE_DIR/tools/build-guest-image" tiny "$BERTH_BUILD_DIR/guest-images" 2>"$work/image.log") ||
    skip "the guest image cannot be built here: $(tail -n 1 "$work/image.log")"
  fresh_vms t4:1 || return
  expect_status 0 berth size add tiny --vcpus 1 --memory 256 --gpus 1 --gpu-model T4
}

# A driver that looks for its device: bundle VERSION HOW-IT-INSTALLS HOW-IT-IS-REMOVED.
bundle() {
  local folder=$state-vms/drivers/$1
  mkdir -p "$folder"
  printf '%s\n' "$2" >"$folder/install.sh"
  printf '%s\n' "$3" >"$folder/remove.sh"
  jq -n --arg v "$1" '{type: "NvidiaGpuDriverLinux", version: $v, systems: ["Debian 12"], install: "install.sh",
    remove: "remove.sh"}' >"$folder/bundle.json"
  (cd "$folder" && sha256sum install.sh remove.sh >SHA256SUMS)
}

extension() {
  local image
  tiny_guest
  expect_status 0 berth image add tiny "$image" --specialized
  expect_status 0 berth size add none --vcpus 1 --memory 256
  bundle 0.9 "echo 'E: Could not get lock /var/lib/dpkg/lock-frontend'; exit 100" "exit 1"
  bundle 1.0 "while [ ! -e /go ]; do sleep 0.2; done; touch /installed" "rm /installed"
  expect_status 0 berth vm create plain --size none --image tiny --network none
  expect_status 3 berth vm extension add plain
  expect_err "has no GPU" "berth vm resize plain"
  expect_status 0 berth vm delete plain
  expect_status 0 berth vm create vm1 --size tiny --image tiny --network none
  booted
  say "A driver that does not install says why, and so it does when it is tried again"
  expect_status 1 berth vm extension add vm1 --settings '{"driverVersion": "0.9"}' --wait
  expect_err "package manager" "berth vm extension retry"
  expect_status 1 berth vm extension retry vm1 gpu-driver --wait
  expect_json '.[0].state == "Failed" and .[0].attempt == 2 and .[0].outcome.code == 14' berth vm extension list vm1
  say "An installation goes on in the guest while berthd is killed and started again"
  expect_status 0 berth vm extension add vm1 --settings '{"driverVersion": "1.0"}'
  wait_until 60 extension_runs || fail "it does not come to the installer: $("$berth" vm extension list vm1)"
  kill_daemon
  start_vm_daemon t4:1 || return
  say "A stop does not wait for the installer"
  wait_until 60 extension_runs || fail "it is not gone on with: $("$berth" vm extension list vm1)"
  local before=$SECONDS
  stop_daemon
  [ $((SECONDS - before)) -lt 20 ] || fail "the stop took $((SECONDS - before)) s"
  start_vm_daemon t4:1 || return
  in_guest "touch /go" >/dev/null
  expect_status 0 berth vm extension add vm1 --settings '{"driverVersion": "1.0"}' --wait
  expect_json '.[0].state == "Succeeded" and .[0].outcome.driverVersion == "1.0"' berth vm extension list vm1
  expect_same "installed" yes "$(in_guest '[ -e /installed ] && echo yes')"
  say "Removal runs the bundle's program in the guest"
  expect_status 0 berth vm extension remove vm1 gpu-driver --wait
  expect_json '. == []' berth vm extension list vm1
  expect_same "removed" yes "$(in_guest '[ -e /installed ] || echo yes')"
  expect_status 0 berth vm delete vm1
}
# shellcheck disable=SC2317  # Called by wait_until.
extension_runs() { "$berth" -o json vm extension list vm1 | jq -e '.[0].percent >= 50' >/dev/null; }

guest() {
  local image
  tiny_guest
  say "An image whose checksum is another is refused and leaves nothing"
  expect_status 2 berth image add tiny "$image" --specialized --sha256 "$(printf '0%.0s' {1..64})"
  expect_err "checksum"
  expect_status 0 berth image add tiny "$image" --specialized --sha256 "$(sha256sum "$image" | cut -d' ' -f1)"
  expect_status 0 berth vm create vm1 --size tiny --image tiny --network none --data-disk 1
  booted
  say "The guest sees the stand-in where the VM says it is"
  local device
  device=/sys/bus/pci/devices/$("$berth" -o json vm show vm1 | jq -r '.gpus[0].standIn')
  expect_same "the stand-in's ids" "0x1234 0x11e8" "$(in_guest "echo \$(cat $device/vendor $device/device)")"
  say "The console is the guest's serial port"
  { sleep 2; printf '\n'; sleep 4; printf '\035'; } | timeout 60 "$berth" vm console vm1 >"$work/console" 2>&1
  grep -qi login "$work/console" || fail "no login prompt: $(tail -c 300 "$work/console")"
  say "What is written to the data disk outlives kill -9 of the daemon and a restart of libvirtd"
  expect_same "writing" written "$(in_guest 'echo kept | dd of=/dev/sda bs=512 conv=sync 2>/dev/null; sync; echo written')"
  kill_daemon
  kill "$(cat "$libvirt_dir/libvirtd.pid")"
  wait_until "$wait_s" gone "$(cat "$libvirt_dir/libvirtd.pid")"
  start_libvirt || fail "libvirtd does not start again"
  start_vm_daemon t4:1 || return
  vm_is vm1 running
  expect_same "reading" kept "$(in_guest 'head -n 1 /dev/sda')"
  say "A guest that is asked shuts down by itself; what it wrote is there at the next start"
  expect_status 0 berth vm deallocate vm1
  expect_status 0 berth vm start vm1
  booted
  expect_same "reading after a start" kept "$(in_guest 'head -n 1 /dev/sda')"
  expect_status 0 berth vm delete vm1
  expect_no_vms_left
}

case ${1-} in
  extension) extension ;;
  guest) guest ;;
  lend) lend ;;
  order) order ;;
  holds) holds ;;
  away) away ;;
  *)
    echo "usage: vms.sh order|holds|away|lend|extension|guest" >&2
    exit 2
    ;;
esac
finish
