#!/usr/bin/env bash
# Proves that a bare Debian 12 needs nothing but git and sudo: makes one in a folder, clones this repository into it
# (what is committed, on the present branch), with the folder `shared` beside it where this checkout has one, and runs
# `./dev demo --once` and `./dev test` inside. For people, not for CI: it downloads some hundred packages and builds
# everything. Needs root and mmdebstrap or debootstrap.
#
#   fresh-machine.sh [DIR]     DIR, which must not exist, is kept; without it a temporary folder is used and removed
#
# MIRROR in the environment replaces Debian's.
# shellcheck disable=SC2317  # clean_up is called through trap.
set -euo pipefail

mirror=${MIRROR:-http://deb.debian.org/debian}
readonly suite=bookworm packages=git,sudo

die() {
  echo "fresh-machine: $*" >&2
  exit 1
}

[ $# -le 1 ] || die "usage: fresh-machine.sh [DIR]"
[ "$(id -u)" = 0 ] || exec sudo --preserve-env=MIRROR "$(readlink -f "$0")" "$@"
source_dir=$(readlink -f "$(dirname "$(readlink -f "$0")")/..")
[ -z "$(git -C "$source_dir" status --porcelain)" ] || echo "fresh-machine: what is not committed is not tested" >&2

keep=no
if [ $# = 1 ]; then
  [ ! -e "$1" ] || die "$1 exists"
  mkdir -p "$1"
  root=$(readlink -f "$1") keep=yes
else
  root=$(mktemp -d /var/tmp/berth-fresh.XXXXXX)
fi
readonly mounts=(proc sys dev) # With what is mounted below them.

inside() {
  env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 TERM="${TERM:-dumb}" \
    chroot "$root" "$@"
}

# Everything below the folder, innermost first: what a failed test left mounted would be removed with it otherwise.
unmount_all() {
  local mount
  while read -r mount; do
    umount "$mount" 2>/dev/null || umount -l "$mount" || true
  done < <(awk -v d="$root/" 'index($5, d) == 1 {print $5}' /proc/self/mountinfo | sort -r)
}

clean_up() {
  local status=$?
  trap - EXIT
  trap '' INT TERM
  unmount_all
  if [ "$keep" = no ] && ! grep -qF " $root/" /proc/self/mountinfo; then rm -rf --one-file-system "$root"; fi
  exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

make_root() {
  if command -v mmdebstrap >/dev/null; then
    mmdebstrap --variant=minbase --include="$packages" "$suite" "$root" "$mirror"
  elif command -v debootstrap >/dev/null; then
    debootstrap --variant=minbase --include="$packages" "$suite" "$root" "$mirror"
  else
    die "neither mmdebstrap nor debootstrap is installed"
  fi
}

mount_into() {
  local mount
  for mount in "${mounts[@]}"; do
    if mountpoint -q "/$mount"; then
      mkdir -p "$root/$mount"
      mount --rbind "/$mount" "$root/$mount"
      mount --make-rslave "$root/$mount"
    fi
  done
  mkdir -p "$root/run" "$root/var/tmp"
  mount -t tmpfs -o mode=755 tmpfs "$root/run"
  cp -L /etc/resolv.conf "$root/etc/resolv.conf"
}

make_root
mount_into
git clone -q --no-hardlinks "$source_dir" "$root/root/berth"
if [ -d "$source_dir/../shared" ]; then cp -rL "$source_dir/../shared" "$root/root/shared"; fi
inside bash -c 'cd /root/berth && ./dev demo --once'
inside bash -c 'cd /root/berth && ./dev test'
echo "fresh-machine: the demo and the tests succeed on a bare Debian 12"
