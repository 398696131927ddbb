#!/usr/bin/env bash
# Documents stay true: each `berth` command of the README and the guide is one that berth understands, what the page on
# the simulated driver shows is done, each example is planned by a daemon on two simulated GPUs, and the sample
# configuration is one that berthd reads. usage: examples.sh BUILD_DIR
# shellcheck disable=SC2317  # clean_up is called through trap.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.."
build=$(readlink -f "$1")
berth=$build/bin/berth
berthd=$build/bin/berthd
failures=0

skip() {
  echo "SKIP: $*"
  exit 77
}

fail() {
  echo "FAIL: $*" >&2
  failures=$((failures + 1))
}

[ "$(id -u)" = 0 ] || skip "needs root"
command -v podman >/dev/null || skip "podman is not installed"
command -v busybox >/dev/null || skip "busybox is not installed"

work=$(mktemp -d "${TMPDIR:-/tmp}/berth-docs.XXXXXX")
daemon=

clean_up() {
  local status=$?
  if [ -n "$daemon" ]; then
    "$berth" --timeout 30 mps stop >/dev/null 2>&1 || true
    kill "$daemon" 2>/dev/null || true
    wait "$daemon" 2>/dev/null || true
  fi
  tools/podman-service stop "$work/podman" >/dev/null 2>&1 || true
  [ "$status" = 0 ] || cat "$work/berthd.log" >&2 2>/dev/null || true
  rm -rf "$work"
}
trap clean_up EXIT

# The lines of a page's fenced sh blocks.
shell_lines() { awk '/^```/ { inside = !inside && $0 == "```sh"; next } inside' "$1"; }

# berth answers 2 to a command line it does not understand, before it looks for a daemon, of which there is none here.
check_commands() { # PAGE HOW-MANY-AT-LEAST BEGINNING
  local line count=0 status words
  while read -r line; do
    read -ra words <<<"${line#"$3"}"
    status=0
    timeout 10 "$berth" --socket "$work/nobody.sock" "${words[@]}" >"$work/out" 2>&1 || status=$?
    [ "$status" = 1 ] || fail "$1: $line: exit status $status: $(cat "$work/out")"
    count=$((count + 1))
  done < <(shell_lines "$1" | grep "^$3")
  [ "$count" -ge "$2" ] || fail "$1: only $count commands found"
  echo "$1: $count commands"
}

# The whole block, in another folder of state and with this build tree.
check_simulated_driver() {
  shell_lines docs/simulated-driver.md | sed "s|/tmp/gpus|$work/gpus|g; s|=build/|=$build/|; s|\$PWD/||; s|^build/|$build/|" \
    >"$work/block.sh"
  timeout 60 bash -euo pipefail "$work/block.sh" >"$work/out" 2>&1 || fail "docs/simulated-driver.md: $(cat "$work/out")"
  local shown
  for shown in 'GFLOP/s' 'NVIDIA A2'; do
    grep -q "$shown" "$work/out" || fail "docs/simulated-driver.md: no $shown: $(cat "$work/out")"
  done
  [ ! -e "$work/gpus" ] || [ -z "$(ls -A "$work/gpus")" ] || fail "docs/simulated-driver.md leaves $(ls "$work/gpus")"
}

start_daemon() {
  export BERTH_SOCKET=$work/state/run/berth.sock
  "$berthd" --config packaging/berthd.yaml --simulate t4:2 --state-dir "$work/state" \
    --socket "$BERTH_SOCKET" --engine-socket "$work/podman/podman.sock" 2>"$work/berthd.log" &
  daemon=$!
  for _ in $(seq 150); do
    if "$berth" gpu list >/dev/null 2>&1; then return 0; fi
    kill -0 "$daemon" 2>/dev/null || break
    sleep 0.2
  done
  echo "the daemon does not answer" >&2
  exit 1
}

plan() { # EXPECTED-STATUS FILE
  local status=0
  "$berth" plan -f "$2" >"$work/out" 2>&1 || status=$?
  [ "$status" = "$1" ] || fail "$2: exit status $status instead of $1: $(cat "$work/out")"
  if grep 'is not in the image store\|No such file' "$work/out"; then fail "$2: its image is missing"; fi
}

check_examples() {
  local file
  # Its own words: refused where nothing enforces the limits.
  if [ -f "$build/guard/libberth-guard-1.so" ]; then plan 0 examples/fractions.yaml; else plan 3 examples/fractions.yaml; fi
  "$berth" mps start >/dev/null 2>&1
  for file in examples/*; do plan 0 "$file"; done
  echo "examples: $(find examples -type f | wc -l) files"
}

check_commands docs/guide.md 20 "berth "
check_commands README.md 3 "sudo -E build/bin/berth "
check_simulated_driver
tools/podman-service start "$work/podman"
tools/build-nbody-image "$work/podman/podman.sock" "$build" >/dev/null
start_daemon
check_examples
[ "$failures" = 0 ]
