# Shared by the integration scripts: a daemon of one's own on simulated GPUs in a temporary folder, commands with
# the exit status they must have, and an end that leaves nothing behind.
#
# Sourced after `set -uo pipefail`. From CTest: BERTH_BUILD_DIR, the build tree, and BERTH_SOURCE_DIR. A failed check
# is counted and shown, and the script goes on; finish() gives the exit status.
# shellcheck shell=bash

: "${BERTH_BUILD_DIR:?the build tree}" "${BERTH_SOURCE_DIR:?the source tree}"
berth=$BERTH_BUILD_DIR/bin/berth
berthd=$BERTH_BUILD_DIR/bin/berthd
shared_samples=$BERTH_SOURCE_DIR/../shared/samples
work=$(mktemp -d "${TMPDIR:-/tmp}/berth-it.XXXXXX")
state=$work/state
daemon_pid=
engine_socket=$work/no-engine.sock
failures=0
checks=0
readonly wait_s=60 command_s=120

export BERTH_SOCKET=$state/run/berth.sock
# What the last expect_status or expect_json ran, wrote and ended with.
status=0
out=
err=

say() { printf -- '-- %s\n' "$*"; }

skip() {
  echo "SKIP: $*"
  exit 77
}

fail() {
  failures=$((failures + 1))
  printf 'FAILED (%s:%s): %s\n' "${BASH_SOURCE[-1]##*/}" "${BASH_LINENO[-2]}" "$*"
}

passed() { checks=$((checks + 1)); }

need() {
  local tool
  for tool in "$@"; do command -v "$tool" >/dev/null || skip "$tool is not installed"; done
}

need_root() { [ "$(id -u)" = 0 ] || skip "needs root"; }

need_shared_samples() { [ -d "$shared_samples/k8s" ] || skip "no samples beside the source tree ($shared_samples)"; }

# The engine that engine_fixture has started. Sets engine_socket and the variables of the podman command.
need_engine() {
  need_root
  need podman curl busybox
  local dir
  dir=$(cat "$BERTH_BUILD_DIR/tests/engine-dir" 2>/dev/null) || skip "the engine fixture has not started podman"
  engine_socket=$dir/podman.sock
  [ -S "$engine_socket" ] || skip "podman's service does not run: $(cat "$BERTH_BUILD_DIR/tests/engine-why" 2>/dev/null)"
  export CONTAINERS_CONF=$dir/conf/containers.conf CONTAINERS_STORAGE_CONF=$dir/conf/storage.conf
}

# Polls until COMMAND succeeds; false after SECONDS.
wait_until() { # SECONDS COMMAND...
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$deadline" ] || return 1
    sleep 0.02
  done
}

answers() { "$berth" -o json gpu list >/dev/null 2>&1; }
# A process that has ended and is not yet waited for is gone too.
gone() { ! grep -q '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$1/status" 2>/dev/null; }

# start_daemon t4:2 [OPTION...]: returns when it answers.
start_daemon() {
  local gpus=$1
  shift
  "$berthd" --simulate "$gpus" --state-dir "$state" --engine-socket "$engine_socket" "$@" >>"$work/berthd.log" 2>&1 &
  daemon_pid=$!
  disown "$daemon_pid"  # The shell need not report how it ends.
  wait_until "$wait_s" daemon_up_or_gone
  answers && return 0
  fail "berthd does not answer; its log ends: $(tail -n 3 "$work/berthd.log")"
  return 1
}

daemon_up_or_gone() { answers || gone "$daemon_pid"; }

end_daemon() { # SIGNAL
  [ -n "$daemon_pid" ] || return 0
  kill "-$1" "$daemon_pid" 2>/dev/null
  wait_until "$wait_s" gone "$daemon_pid" || kill -KILL "$daemon_pid" 2>/dev/null
  daemon_pid=
}

stop_daemon() { end_daemon TERM; }
kill_daemon() { end_daemon KILL; }

# An own state for the next daemon.
fresh_state() {
  clear_away
  rm -rf "$state"
}

# expect_status N COMMAND...: `berth` stands for the one that was built. Output in $out, errors in $err.
expect_status() {
  local wanted=$1
  shift
  [ "$1" != berth ] || set -- "$berth" "${@:2}"
  timeout "$command_s" "$@" >"$work/out" 2>"$work/err"
  status=$?
  out=$(tr -d '\0' <"$work/out")
  err=$(tr -d '\0' <"$work/err")
  if [ "$status" = "$wanted" ]; then
    passed
    return 0
  fi
  fail "exit status $status, not $wanted: ${*/#"$berth"/berth}"
  printf '%s\n' "$out" "$err" | head -n 20 | sed 's/^/    | /'
  return 1
}

# expect_json FILTER COMMAND...: the JSON that `berth -o json` prints satisfies the jq filter.
expect_json() {
  local filter=$1
  shift
  [ "$1" != berth ] || set -- "$berth" -o json "${@:2}"
  out=$("$@" 2>"$work/err")
  if jq -e "$filter" <<<"$out" >/dev/null 2>&1; then
    passed
    return 0
  fi
  fail "not so: $filter"
  printf '%s\n' "${*/#"$berth"/berth}:" "$(jq -c . <<<"$out" 2>/dev/null || echo "$out")" | cut -c1-1500 | sed 's/^/    | /'
  return 1
}

json_is() { # FILTER COMMAND...
  "$berth" -o json "${@:2}" 2>/dev/null | jq -e "$1" >/dev/null 2>&1
}

# Like expect_json, for what takes time to become so.
expect_soon() { # FILTER COMMAND...
  local filter=$1
  shift
  [ "$1" != berth ] || shift
  wait_until "$wait_s" json_is "$filter" "$@"
  expect_json "$filter" berth "$@"
}

# The last command's stderr has the text in it.
expect_err() {
  local text
  for text in "$@"; do
    if grep -qF -- "$text" <<<"$err"; then passed; else fail "stderr lacks \"$text\": $err"; fi
  done
}

expect_same() { # WHAT BEFORE AFTER
  if [ "$2" = "$3" ]; then passed; else fail "$1: $(diff <(echo "$2") <(echo "$3"))"; fi
}

owners() { "$berth" -o json gpu list | jq -c 'map(.owner.kind + (if .owner.name == "" then "" else " " + .owner.name end))'; }

expect_owners() { expect_json "map(.owner.kind) == [$(printf '"%s",' "$@" | sed 's/,$//')]" berth gpu list; }

# GPUs and workloads, without what changes by itself.
picture() {
  "$berth" -o json gpu list | jq -S 'map(del(.mps))'
  "$berth" -o json workload list | jq -S .
}

our_containers() { # [-a]: also those that do not run. Asked of the engine itself, which is faster than podman ps.
  [ -S "$engine_socket" ] || return 0
  curl -sS --get --unix-socket "$engine_socket" --data "all=${1+1}" \
    --data-urlencode "filters={\"label\":[\"dev.berth.instance=$(realpath -m "$state")\"]}" \
    http://engine/v1.41/containers/json 2>/dev/null | jq -r '.[].Id'
}

# MPS programs (control daemons and servers) whose pipe folder is below this script's own.
our_mps_pids() {
  local environ process
  grep -lzsF "CUDA_MPS_PIPE_DIRECTORY=$state/" /proc/[0-9]*/environ 2>/dev/null | while read -r environ; do
    process=${environ%/environ}
    [[ $(readlink "$process/exe" 2>/dev/null) == */nvidia-cuda-mps-* ]] && echo "${process#/proc/}"
  done
}

clear_away() {
  kill_daemon
  local id pid
  for id in $(our_containers -a); do podman rm --force --time 0 "$id" >/dev/null 2>&1; done
  for pid in $(our_mps_pids); do kill -KILL "$pid" 2>/dev/null; done
}

leave() {
  local code=$?
  clear_away
  if [ "$code" != 0 ] && [ "$code" != 77 ]; then
    echo "the end of the daemon's log:"
    tail -n 15 "$work/berthd.log" 2>/dev/null | sed 's/^/    | /'
  fi
  rm -rf "$work"
  exit "$code"
}
trap leave EXIT
trap 'exit 1' INT TERM HUP

finish() {
  say "$checks checks, $failures failed"
  [ "$failures" = 0 ] && [ "$checks" -gt 0 ] || exit 1
  exit 0
}
