#!/usr/bin/env bash
# Real VFIO: GPUs' stand-ins are bound, used, given back and recovered by berth::vfio in a test machine with an
# emulated IOMMU (vfio_machine), then given to a guest of a libvirtd in there. Rules A1 and B9; peers' opportunity 11.
# usage: vfio.sh moves|libvirt|daemon
set -uo pipefail
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=lib.sh
. "$here/lib.sh"

what=${1:-moves}
cache=$BERTH_BUILD_DIR/vfio-machine

need_root
need qemu-system-x86_64 cpio modprobe depmod busybox
[ "$what" = moves ] || need libvirtd virsh curl jq
compgen -G "$cache/*/kernel" >/dev/null || apt-cache show linux-image-amd64 >/dev/null 2>&1 ||
  skip "the package lists know no linux-image-amd64: apt-get update"

# in_machine WHAT SECONDS MIB: what ran in the machine is shown; each of its checks is one of ours.
in_machine() {
  local output code=0
  say "the test machine: $1"
  output=$(timeout "$2" "$here/vfio_machine" "$cache" -m "$3" "$here/vfio_inside.sh" "$1" 2>&1) || code=$?
  printf '%s\n' "$output"
  checks=$((checks + $(grep -c '^ok ' <<<"$output")))
  [ $code = 0 ] || fail "$1: exit status $code"
}

case $what in
  moves)
    in_machine moves 280 1024
    IOMMU=off in_machine iommu-off 120 512
    ;;
  libvirt) in_machine libvirt 280 2048 ;;
  daemon)
    [ -x "$berthd" ] || skip "berthd is not built"
    in_machine daemon 290 2048
    ;;
  *)
    echo "usage: vfio.sh moves|libvirt|daemon" >&2
    exit 2
    ;;
esac
finish
