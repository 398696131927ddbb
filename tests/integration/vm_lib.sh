# Shared by the scripts that run real guests: a libvirt of one's own, berthd's settings for it, and a guest that costs
# nothing: a boot sector that halts. Sourced after lib.sh.
# shellcheck shell=bash

: "${work:?lib.sh comes first}" "${state:?}"
libvirt_dir=$work/libvirt
libvirt_cache=$BERTH_BUILD_DIR/libvirt-cache
libvirt_uri=

need_libvirt() {
  need_root
  need jq libvirtd virsh qemu-system-x86_64 qemu-img genisoimage
  start_libvirt || skip "libvirtd does not start here: $(tail -n 1 "$libvirt_dir/log/libvirtd.log" 2>/dev/null)"
  cat >"$work/berthd.yaml" <<YAML
libvirtUri: "$libvirt_uri"
accelerator: tcg
vmCpuOvercommitPercent: 10000
hostMemoryMiB: 0
YAML
  # cli; hlt; jmp back: the guest is there, and needs no CPU.
  printf '\xfa\xf4\xeb\xfd' >"$work/halt.raw"
  truncate -s 1M "$work/halt.raw"
  printf '\x55\xaa' | dd of="$work/halt.raw" bs=1 seek=510 conv=notrunc status=none
}

start_libvirt() {
  libvirt_uri=$(timeout 120 "$BERTH_SOURCE_DIR/tools/private-libvirt" start "$libvirt_dir" "$libvirt_cache" 2>"$work/libvirt.err")
}
stop_libvirt() { "$BERTH_SOURCE_DIR/tools/private-libvirt" stop "$libvirt_dir" "$libvirt_cache" >/dev/null 2>&1; }

# Guests end with libvirt, before the folder goes.
leave_vms() {
  local code=$?
  kill_daemon
  stop_libvirt
  (exit "$code")
  leave
}
trap leave_vms EXIT

start_vm_daemon() { # GPUS [OPTION...]
  start_daemon "$1" --config "$work/berthd.yaml" "${@:2}"
}

# A state of its own, with the halting image and a size for it; domains of the state before are ended as nobody's.
fresh_vms() { # GPUS [OPTION...]
  fresh_state
  rm -rf "$state-vms"
  start_vm_daemon "$@" || return 1
  expect_status 0 berth size add halt --vcpus 1 --memory 16 --gpus 1 --gpu-model T4
  expect_status 0 berth size add plain --vcpus 1 --memory 16
  expect_status 0 berth image add halt "$work/halt.raw" --specialized
}

create_vm() { # STATUS NAME [SIZE]
  expect_status "$1" berth vm create "$2" --size "${3:-halt}" --image halt --network none
}

vm_is() { expect_json ".powerState == \"PowerState/$2\"" berth vm show "$1"; }

# Our domains as libvirt has them: "berth-vm1 running".
domains() {
  local name
  virsh -q -c "$libvirt_uri" list --all --name | while read -r name; do
    [ -z "$name" ] || echo "$name $(virsh -q -c "$libvirt_uri" domstate "$name" | head -n 1)"
  done
}
guests() { pgrep -c -f "guest=berth-" || true; }
domain_is() { [ "$(virsh -q -c "$libvirt_uri" domstate "berth-$1" 2>/dev/null | head -n 1)" = "$2" ]; }

# The indices that the simulated driver still shows to NVML.
nvml_lists() { expect_json "[.[] | select(.binding == \"nvidia\") | .index] == [$1]" berth sim status; }

expect_no_vms_left() {
  expect_json 'length == 0' berth vm list
  expect_same "domains" "" "$(domains)"
  expect_same "disks" "" "$(ls "$state-vms/disks" 2>/dev/null)"
  expect_json 'all(.[]; .owner.kind != "vm" and .berths == [])' berth gpu list
}
