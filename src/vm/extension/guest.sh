#!/bin/sh
# Berth's driver extension inside a Linux guest. Put there and called through the guest agent; plain sh, for it runs in
# guests of every kind. Answers are lines KEY=VALUE; what follows the line "log:" is the end of the installer's output.
#
#   inspect                      gpu=VENDOR:DEVICE:CLASS a line, secureboot=0|1
#   check DIR                    compares the files in DIR with its SHA256SUMS
#   start DIR COMMAND [ARG...]   runs it in DIR, on its own; does nothing where one was started before
#   status DIR                   state=none|running|lost|exited, code=N, log:
#   version                      version=V, by nvidia-smi
#   note STATE CODE MESSAGE      writes the status where the appliance's own extension writes it
#   forget DIR                   removes it
#
# Commands for start: "bundle FILE [ARG...]", "download URL", "repository URL PIN DKMS".
self=$0

inspect() {
  for device in /sys/bus/pci/devices/*; do
    [ -e "$device/vendor" ] || continue
    echo "gpu=$(cat "$device/vendor"):$(cat "$device/device"):$(cat "$device/class")"
  done
  for variable in /sys/firmware/efi/efivars/SecureBoot-*; do
    [ -e "$variable" ] || continue
    # Four bytes of attributes, then the value.
    [ "$(dd if="$variable" bs=1 skip=4 count=1 2>/dev/null | od -An -tu1 | tr -d ' ')" = 1 ] && echo secureboot=1
  done
  return 0
}

check() { cd "$1" && sha256sum -c SHA256SUMS; }

start() {
  cd "$1" || exit 1
  shift
  if [ -e pid ]; then return 0; fi
  setsid sh -c 'sh "$@" >log 2>&1 </dev/null; echo $? >exit.new; mv exit.new exit' sh "$self" "$@" >/dev/null 2>&1 &
  echo $! >pid
}

status() {
  cd "$1" 2>/dev/null || {
    echo state=none
    return 0
  }
  # Alive first: the exit code is there before the installer is gone.
  alive=no
  [ -e pid ] && kill -0 "$(cat pid)" 2>/dev/null && alive=yes
  if [ -e exit ]; then
    echo state=exited
    echo "code=$(cat exit)"
  elif [ ! -e pid ]; then
    echo state=none
  elif [ $alive = yes ]; then
    echo state=running
  else
    # The guest restarted, or somebody killed it.
    echo state=lost
  fi
  echo log:
  [ ! -e log ] || tail -c 4000 log
}

fetch() { # URL FILE
  if command -v curl >/dev/null; then curl -fsSL --retry 3 -o "$2" "$1"; else wget -q -O "$2" "$1"; fi
}

# A file by what it is: a script, NVIDIA's installer, a package.
install_file() {
  file=$1
  shift
  case $file in
    *.run) sh "./$file" --silent --accept-license "$@" ;;
    *.deb) DEBIAN_FRONTEND=noninteractive apt-get install -y "./$file" "$@" ;;
    *.rpm) rpm -Uvh --replacepkgs "$file" "$@" ;;
    *.sh) sh "./$file" "$@" ;;
    *)
      chmod +x "$file"
      "./$file" "$@"
      ;;
  esac
}

download() {
  file=$(basename "${1%%\?*}")
  case $file in *.run | *.deb | *.rpm | *.sh) ;; *) file=driver.run ;; esac
  fetch "$1" "$file" || {
    echo "could not download $1"
    exit 14
  }
  install_file "$file"
}

repository() { # URL PIN DKMS
  set -e
  case $1 in
    *.repo)
      [ -z "$3" ] || rpm -Uvh --replacepkgs "$3"
      fetch "$1" /etc/yum.repos.d/cuda.repo
      if command -v dnf >/dev/null; then dnf -y install cuda-drivers; else yum -y install cuda-drivers; fi
      ;;
    *)
      fetch "${1%/}/cuda-keyring_1.1-1_all.deb" keyring.deb
      dpkg -i keyring.deb
      [ -z "$2" ] || fetch "$2" /etc/apt/preferences.d/cuda-repository-pin-600
      apt-get update
      DEBIAN_FRONTEND=noninteractive apt-get install -y cuda-drivers
      ;;
  esac
}

version() {
  command -v nvidia-smi >/dev/null || return 0
  echo "version=$(nvidia-smi --query-gpu=driver_version --format=csv,noheader | head -n 1)"
}

note() {
  mkdir -p /var/log/azure
  printf '%s %s %s %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$1" "$2" "$3" >>/var/log/azure/nvidia-vmext-status
}

verb=$1
shift
case $verb in
  inspect) inspect ;;
  check) check "$1" ;;
  start) start "$@" ;;
  status) status "$1" ;;
  version) version ;;
  note) note "$@" ;;
  forget) rm -rf "$1" ;;
  bundle) install_file "$@" ;;
  download) download "$1" ;;
  repository) repository "$@" ;;
  *)
    echo "unknown verb: $verb" >&2
    exit 1
    ;;
esac
