#!/usr/bin/env bash
# The kill -9 walk (design 13) of virtual machines: kill9_vm.sh OPERATION, create, deallocate, start or delete. It is done
# again and again, with the daemon killed at the n-th crossing of a commit, until it ends by itself; after every death
# the next daemon must bring the ledger, libvirt and the GPU to one picture. Creating is walked at every crossing; the
# others, whose steps are alike, before each commit, where the world is ahead of the ledger.
set -uo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=vm_lib.sh
. "$(dirname "$0")/vm_lib.sh"
need_libvirt
readonly most_crossings=60
stride=2

start_dying() { # CROSSING
  BERTH_FAILPOINT=$1 "$berthd" --config "$work/berthd.yaml" --simulate t4:1 --state-dir "$state" \
    --engine-socket "$engine_socket" >>"$work/berthd.log" 2>&1 &
  daemon_pid=$!
  disown "$daemon_pid"
  wait_until "$wait_s" daemon_up_or_gone
}

# shellcheck disable=SC2317  # Called by wait_until.
settled() {
  json_is 'all(.[]; .state != "running")' operation list &&
    json_is 'all(.[]; .provisioningState | IN("ProvisioningState/succeeded", "ProvisioningState/failed"))' vm list &&
    [ "$(domains | grep -c ' running$')" = "$("$berth" -o json vm list | jq '[.[] | select(.powerState == "PowerState/running")] | length')" ] &&
    json_is "[.[] | select(.binding == \"vfio\")] | length <= $("$berth" -o json gpu list | jq '[.[] | select(.owner.kind == "vm")] | length')" sim status
}

consistent() { # WHERE
  if wait_until "$wait_s" settled; then
    passed
  else
    fail "$1: not settled: $("$berth" -o json vm list | jq -c '.[] | [.powerState, .provisioningState, .message]'), domains $(domains)"
  fi
  # A1: one owner, and a VM has a GPU or has none.
  expect_json 'all(.[]; (.owner.kind == "vm") == (.berths | length == 1))' berth gpu list
  expect_json 'all(.[]; .state == "succeeded" or (.state == "failed" and .error != null))' berth operation list
}

# walk WHAT-MUST-HOLD-WHEN-ACCEPTED OPERATION -- PREPARATION...
walk() {
  local holds=$1 operation=$2 n=$((1 - stride)) lived=0 deaths=0 id preparation
  shift 3
  fresh_vms t4:1 || return
  stop_daemon
  rm -rf "$work/prepared"
  while [ "$lived" = 0 ] && [ "$n" -lt "$most_crossings" ]; do
    n=$((n + stride))
    start_vm_daemon t4:1 || return
    for preparation in "$@"; do
      # shellcheck disable=SC2086  # The words of one command.
      expect_status 0 berth $preparation
    done
    stop_daemon
    start_dying "$n"
    # shellcheck disable=SC2086
    id=$(timeout "$command_s" "$berth" --no-wait $operation 2>/dev/null | head -n 1)
    if [[ $id == op-* ]]; then
      timeout 20 "$berth" operation wait "$id" >/dev/null 2>&1
      if ! gone "$daemon_pid" && json_is '.state != "running"' operation show "$id"; then lived=1; fi
    fi
    gone "$daemon_pid" && deaths=$((deaths + 1))
    kill_daemon
    start_vm_daemon t4:1 || return
    consistent "$operation, killed at $n"
    [[ $id != op-* ]] || expect_soon "$holds" vm list
    # Ready for the next round, in the same state.
    if json_is 'length > 0' vm list; then expect_status 0 berth vm delete vm1; fi
    expect_no_vms_left
    stop_daemon
  done
  say "$operation: $deaths deaths walked"
  [ "$lived" = 1 ] || fail "$operation never ended by itself within $most_crossings crossings"
  [ "$deaths" -gt 0 ] || fail "$operation: the daemon was never killed"
}

create="vm create vm1 --size halt --image halt --network none"
case ${1-} in
  create)
    stride=1
    walk 'length == 1 and .[0].powerState == "PowerState/running"' "$create" --
    ;;
  deallocate)
    walk '.[0].powerState == "PowerState/deallocated" and .[0].lent == [0]' "vm deallocate vm1 --force" -- "$create --hold lend"
    ;;
  start)
    walk '.[0].powerState == "PowerState/running" and (.[0].gpus | length) == 1' "vm start vm1" -- \
      "$create --hold lend" "vm deallocate vm1 --force"
    ;;
  delete)
    walk 'length == 0' "vm delete vm1" -- "$create"
    ;;
  *)
    echo "usage: kill9_vm.sh create|deallocate|start|delete" >&2
    exit 2
    ;;
esac
finish
