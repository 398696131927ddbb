#!/usr/bin/env bash
# What vfio.sh runs inside the test machine. Each check is a line "ok ..." or "FAILED ..."; the exit status is the
# number of failures.
# usage: vfio_inside.sh moves|daemon|libvirt|iommu-off
# shellcheck disable=SC2317  # Some functions are called by name, by until_true and expect.
set -uo pipefail

: "${BERTH_BUILD_DIR:?the build tree}" "${BERTH_SOURCE_DIR:?the source tree}"
move=$BERTH_BUILD_DIR/tests/vfio_move
bus=/sys/bus/pci/devices
failures=0
out=
status=0
journal=/tmp/journal

ok() { echo "ok $(cut -d. -f1 /proc/uptime)s $*"; }
failed() {
  failures=$((failures + 1))
  echo "FAILED $*"
  printf '%s\n' "$out" | sed 's/^/  | /'
}

# expect STATUS WHAT COMMAND...: runs it; its two outputs are in $out.
expect() {
  local wanted=$1 what=$2
  shift 2
  status=0
  out=$("$@" 2>&1) || status=$?
  if [ "$status" = "$wanted" ]; then ok "$what"; else failed "$what: exit status $status instead of $wanted"; fi
}
mentions() {
  case $out in
    *"$1"*) ok "  says: $1" ;;
    *) failed "  does not say: $1" ;;
  esac
}
driver() { basename "$(readlink "$bus/$1/driver" || echo none)"; }
expect_driver() {
  if [ "$(driver "$1")" = "$2" ]; then ok "  $1 is bound to $2"; else failed "  $1 is bound to $(driver "$1"), not to $2"; fi
}
# Two programs for all of it: starting one is what costs time in here.
everything() {
  stat -c %N "$bus"/*/driver
  grep -s '' "$bus"/*/driver_override "$bus"/*/power/control "$bus"/*/d3cold_allowed
}
before=$(everything)
expect_as_before() {
  if [ "$(everything)" = "$before" ]; then ok "  the bus is as before"; else
    out=$(diff <(echo "$before") <(everything))
    failed "  the bus is not as before"
  fi
}
# until COMMAND...: polls it for 20 s.
until_true() {
  local tries
  for ((tries = 0; tries < 400; tries++)); do
    "$@" && return
    sleep 0.05
  done
  return 1
}

check_one_group() { # ADDRESS...: all functions of the group
  rm -f $journal
  expect 0 "takes the group of $1" "$move" take $journal "$1"
  local address
  for address in "$@"; do
    expect_driver "$address" vfio-pci
    expect 0 "  opens $address by container, group and device" "$move" open "$address"
    mentions "identifies itself as 010000ed"
  done
  expect 0 "gives it back" "$move" back $journal
  expect_as_before
}

check_shared_group() {
  expect 3 "one of two GPUs behind a bridge is refused" "$move" plan 0000:02:01.0
  mentions IommuGroupNotViable
  mentions "0000:02:02.0, a device of class 00ff (1234:11e8) of driver uio_pci_generic"
  mentions "give both GPUs to the same VM"
  expect_as_before
  rm -f $journal
  expect 0 "both together are taken" "$move" take $journal 0000:02:01.0 0000:02:02.0
  expect_driver 0000:02:02.0 vfio-pci
  expect 0 "  opens the second" "$move" open 0000:02:02.0
  expect 0 "gives both back" "$move" back $journal
  expect_as_before
}

# Kills the taker before and after each of its writes, until it lives through.
check_kills() {
  local moment killed=0
  for ((moment = 1; moment < 40; moment++)); do
    rm -f $journal
    status=0
    out=$("$move" take $journal --kill-at $moment 0000:00:05.0 2>&1) || status=$?
    [ $status = 137 ] || break
    killed=$((killed + 1))
    out=$("$move" back $journal 2>&1) || failed "recovery after kill -9 at moment $moment"
    [ "$(everything)" = "$before" ] || failed "the bus is not as before after kill -9 at moment $moment"
  done
  out="killed $killed times"
  if [ $killed -ge 12 ]; then ok "recovers from kill -9 at each of $killed moments"; else failed "kills"; fi
  expect 0 "gives back what the last attempt took" "$move" back $journal
  expect_as_before
}

# A user in another mount namespace, by a node of another name.
check_user_is_named() {
  local number pid
  number=$(cat $bus/0000:00:04.0/uio/uio*/dev)
  # shellcheck disable=SC2016  # The inner shell expands them.
  unshare --mount sh -c 'mount -t tmpfs tmpfs /mnt; mknod /mnt/other c "$0" "$1"; exec 9<>/mnt/other; exec sleep 1000' \
    "${number%:*}" "${number#*:}" &
  pid=$!
  until_true test -e /proc/$pid/fd/9
  expect 3 "a device in use is refused" "$move" take $journal 0000:00:04.0
  mentions "DeviceInUse the GPU is in use by process $pid (sleep)"
  expect_as_before
  kill $pid
  wait $pid 2>/dev/null
}

no_helper_left() { ! grep -qs BERTH_SYSFS_DEVICE /proc/[0-9]*/environ; }
opened_by() { readlink /proc/"$1"/fd/* | grep -q 'vfio-device'; }

# vfio-pci does not let go while a program has the device: the write hangs, this one does not.
check_hang() {
  rm -f $journal
  expect 0 "takes a device" "$move" take $journal 0000:00:04.0
  "$move" open 0000:00:04.0 hold >/dev/null 2>&1 &
  local holder=$!
  until_true opened_by $holder
  expect 1 "a device that is held is not given back, and the deadline holds" "$move" back $journal --deadline-ms 1500
  mentions SysfsHung
  expect 1 "nor is it touched while the first write hangs" "$move" back $journal --deadline-ms 1500
  mentions "hangs in the kernel"
  kill $holder
  wait $holder 2>/dev/null
  until_true no_helper_left || failed "the helper still hangs"
  expect 0 "given back once its user has gone" "$move" back $journal
  expect_as_before
}

moves() {
  check_one_group 0000:00:04.0
  check_one_group 0000:00:05.0 0000:00:05.1
  check_one_group 0000:01:00.0
  check_shared_group
  check_user_is_named
  check_hang
  check_kills
}

iommu_off() {
  expect 3 "without an IOMMU the plan is refused" "$move" plan 0000:00:04.0
  mentions "IommuOff the IOMMU is off"
  # The emulated processor says it is of the host's maker, and what turns the IOMMU on differs.
  if grep -q GenuineIntel /proc/cpuinfo; then
    mentions "add intel_iommu=on to GRUB_CMDLINE_LINUX"
  else
    mentions "enable IOMMU (AMD-Vi) in the firmware's setup"
  fi
  expect_as_before
}

guest_xml() {
  cat <<XML
<domain type='qemu'><name>guest</name><memory unit='MiB'>128</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='q35'>hvm</type></os>
<devices><emulator>/usr/bin/qemu-system-x86_64</emulator>
<hostdev mode='subsystem' type='pci' managed='no'><driver name='vfio'/>
<source><address domain='0' bus='0' slot='5' function='0'/></source></hostdev>
<hostdev mode='subsystem' type='pci' managed='no'><driver name='vfio'/>
<source><address domain='0' bus='0' slot='5' function='1'/></source></hostdev>
</devices></domain>
XML
}

libvirt() {
  local uri
  rm -f $journal
  expect 0 "starts a libvirtd" "$BERTH_SOURCE_DIR/tools/private-libvirt" start /tmp/libvirt
  uri=$out
  guest_xml >/tmp/guest.xml
  expect 0 "defines a guest with the card" timeout 150 virsh -q -c "$uri" define /tmp/guest.xml
  expect 1 "it does not start while the host has the card" timeout 100 virsh -q -c "$uri" start guest
  expect 0 "takes the card" "$move" take $journal 0000:00:05.0
  expect 0 "starts the guest" timeout 100 virsh -q -c "$uri" start guest
  expect 0 "asks the guest's QEMU for its devices" virsh -q -c "$uri" qemu-monitor-command guest --hmp info pci
  if [ "$(grep -c 1234:11e8 <<<"$out")" = 2 ]; then ok "  both functions are in the guest"; else failed "  not both functions"; fi
  expect 1 "the card is not given back under the guest" "$move" back $journal --deadline-ms 1500
  mentions SysfsHung
  expect 0 "ends the guest" virsh -q -c "$uri" destroy guest
  until_true no_helper_left || failed "the helper still hangs"
  expect 0 "gives the card back" "$move" back $journal
  expect_as_before
  "$BERTH_SOURCE_DIR/tools/private-libvirt" stop /tmp/libvirt
}

socket=/tmp/state/run/berth.sock
# api METHOD PATH [JSON]: the answer; false for a refusal.
api() { curl -sS --fail-with-body --max-time 60 --unix-socket $socket -X "$1" "http://berth/api/v1/$2" ${3:+-H 'Content-Type: application/json' -d "$3"}; }
vm_is() { [ "$(api GET vms/vm1 | jq -r .powerState)" = "PowerState/$1" ]; }
no_vm() { [ "$(api GET vms)" = "[]" ]; }
gone() { ! kill -0 "$1" 2>/dev/null; }
answers() { api GET gpus >/dev/null 2>&1; }
gpu_of_vm() { api GET gpus | jq -r '.[] | select(.owner.kind == "vm") | .pciAddress'; }
eventually() { # WHAT COMMAND...
  local what=$1
  shift
  out=
  # Emulation in emulation: a minute is not much.
  if until_true "$@" || until_true "$@" || until_true "$@"; then ok "$what"; else
    out=$(tail -n 5 /tmp/berthd.log)
    failed "$what"
  fi
}

start_berthd() {
  rm -rf /tmp/failpoint
  mkdir /tmp/failpoint
  BERTH_FAILPOINT=/tmp/failpoint "$BERTH_BUILD_DIR/bin/berthd" --config /tmp/berthd.yaml --state-dir /tmp/state \
    --engine-socket /tmp/no-engine.sock >>/tmp/berthd.log 2>&1 &
  berthd=$!
  eventually "berthd answers" answers
}
end_berthd() {
  kill $berthd
  wait $berthd 2>/dev/null
}

# A guest of one boot sector: cli; hlt; jmp back.
prepare_vms() {
  cat >/tmp/berthd.yaml <<YAML
libvirtUri: "$1"
accelerator: tcg
vmCpuOvercommitPercent: 10000
hostMemoryMiB: 0
alsoGpus: 1234:11e8
YAML
  printf '\xfa\xf4\xeb\xfd' >/tmp/halt.raw
  truncate -s 1M /tmp/halt.raw
  printf '\x55\xaa' | dd of=/tmp/halt.raw bs=1 seek=510 conv=notrunc status=none
  start_berthd
  expect 0 "adds a size for the stand-in" api POST sizes '{"name":"card","vcpus":1,"memoryMiB":16,"gpus":1,"gpuModel":"1234:11e8"}'
  expect 0 "adds the image" api PUT images/halt '{"file":"/tmp/halt.raw","osState":"Specialized"}'
}

create_vm() { expect 0 "creates a VM" api PUT vms/vm1 '{"size":"card","image":"halt","nics":[],"hold":"release"}'; }
delete_vm() {
  expect 0 "deletes the VM" api DELETE vms/vm1
  eventually "  it is gone" no_vm
  eventually "  its GPU's driver is back" expect_quietly_as_before
  expect_as_before
}
expect_quietly_as_before() { [ "$(everything)" = "$before" ]; }

# berthd gives a card to a guest, takes it back, and is killed in the middle of the move.
daemon() {
  local uri gpu crossing
  expect 0 "starts a libvirtd" "$BERTH_SOURCE_DIR/tools/private-libvirt" start /tmp/libvirt
  uri=$out
  prepare_vms "$uri"
  expect 0 "lists the stand-ins as GPUs, a card of two functions once" api GET gpus
  out=$(jq -r '.[] | .uuid' <<<"$out" | tr '\n' ' ')
  mentions "PCI-0000:00:04.0 PCI-0000:00:05.0 PCI-0000:01:00.0 PCI-0000:02:01.0 PCI-0000:02:02.0"
  create_vm
  eventually "  it runs" vm_is running
  gpu=$(gpu_of_vm)
  expect_driver "$gpu" vfio-pci
  expect 0 "  asks its QEMU for its devices" virsh -q -c "$uri" qemu-monitor-command berth-vm1 --hmp info pci
  mentions 1234:11e8
  expect 0 "deallocates it" api POST vms/vm1/deallocate '{"force":true}'
  eventually "  it is deallocated" vm_is deallocated
  expect_as_before
  delete_vm

  for crossing in 8 14 20; do
    echo $(($(cut -d' ' -f1 /tmp/failpoint/crossings | tail -n 1) + crossing)) >/tmp/failpoint/kill-at
    create_vm
    eventually "berthd is killed at commit $crossing of it, after: $(tail -n 1 /tmp/failpoint/crossings)" gone $berthd
    start_berthd
    eventually "  the next berthd has the VM running" vm_is running
    expect_driver "$(gpu_of_vm)" vfio-pci
    delete_vm
  done
  end_berthd
  "$BERTH_SOURCE_DIR/tools/private-libvirt" stop /tmp/libvirt
}

case ${1:-} in
  moves) moves ;;
  daemon) daemon ;;
  libvirt) libvirt ;;
  iommu-off) iommu_off ;;
  *)
    echo "usage: vfio_inside.sh moves|daemon|libvirt|iommu-off" >&2
    exit 2
    ;;
esac
exit $failures
