#!/usr/bin/env bash
# The kill -9 walk (design 13): kill9.sh GROUP. Each operation of the group is run again and again, with the daemon killed
# before or after the n-th commit, n = 1, 2, ..., until it ends by itself. After every death the daemon starts again and
# must settle: one owner for each GPU (A1), no operation running for ever, nothing granted forgotten, no container and
# no MPS daemon without a reason.
set -uo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need jq
need_engine
readonly most_crossings=60

cat >"$work/pod.yaml" <<'YAML'
apiVersion: v1
kind: Pod
metadata:
  name: sleeper
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: nvidia/samples:nbody
    command: ["sleep", "1000"]
    env:
    - {name: NVIDIA_VISIBLE_DEVICES, value: "0"}
YAML

# start_dying N: the daemon that is killed at the N-th crossing; it may die before it answers.
start_dying() {
  BERTH_FAILPOINT=$1 "$berthd" --simulate t4:2 --state-dir "$state" --engine-socket "$engine_socket" \
    >>"$work/berthd.log" 2>&1 &
  daemon_pid=$!
  disown "$daemon_pid"
  wait_until "$wait_s" daemon_up_or_gone
}

# shellcheck disable=SC2317  # Called by wait_until.
settled() {
  json_is 'all(.[]; .state != "running")' operation list &&
    json_is 'all(.[].containers[]; .state == "running" or .state == "exited")' workload list &&
    [ "$(our_containers | wc -l)" = "$(running_containers)" ] && [ "$(mps_daemons)" = "$(mps_gpus)" ]
}

running_containers() { "$berth" -o json workload list | jq '[.[].containers[] | select(.state == "running")] | length'; }
mps_gpus() { "$berth" -o json gpu list | jq '[.[] | select(.mode == "mps" and .owner.kind != "vm")] | length'; }
mps_daemons() {
  local pid count=0
  for pid in $(our_mps_pids); do
    [[ $(readlink "/proc/$pid/exe") == */nvidia-cuda-mps-control ]] && count=$((count + 1))
  done
  echo "$count"
}

consistent() { # WHERE
  if wait_until "$wait_s" settled; then
    passed
  else
    fail "$1: not settled: $("$berth" -o json operation list | jq -c '[.[] | select(.state == "running")]')," \
      "containers $(our_containers | wc -l) of $(running_containers), MPS $(mps_daemons) of $(mps_gpus)"
  fi
  # shellcheck disable=SC2016  # A variable of jq.
  expect_json 'all(.[]; (.owner.kind == "free") == (.berths == []) or .owner.kind == "kubernetes")
    and all(.[]; ([.berths[] | select(.whole)] | length) as $whole | $whole == 0 or (.berths | length) == 1)
    and all(.[]; .owner.kind != "vm" or (.berths | map(.holder.name)) == [.owner.name])' berth gpu list
  expect_json 'all(.[]; .state == "succeeded" or (.state == "failed" and .error != null))' berth operation list
}

# walk WHAT-MUST-HOLD-WHEN-ACCEPTED OPERATION -- PREPARATION...: each preparation is a quoted command of berth's.
walk() {
  local holds=$1 operation=$2 n=0 lived=0 id deaths=0
  shift 3
  while [ "$lived" = 0 ] && [ "$n" -lt "$most_crossings" ]; do
    n=$((n + 1))
    fresh_state
    start_daemon t4:2 || return
    local preparation
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
      if ! gone "$daemon_pid" && json_is ".state != \"running\"" operation show "$id"; then lived=1; fi
    fi
    gone "$daemon_pid" && deaths=$((deaths + 1))
    kill_daemon
    start_daemon t4:2 || return
    consistent "$operation, killed at $n"
    if [[ $id == op-* ]]; then
      expect_json "map(select(.id == \"$id\")) | length == 1" berth operation list
      # shellcheck disable=SC2086
      expect_soon "$holds" gpu list
    fi
  done
  say "$operation: $deaths deaths walked"
  [ "$lived" = 1 ] || fail "$operation never ended by itself within $most_crossings crossings"
  [ "$deaths" -gt 0 ] || fail "$operation: the daemon was never killed"
}

case ${1-} in
  reserve)
    walk '.[0].owner.name == "vm1"' "reserve vm1 --gpus 1" --
    walk '.[0].owner.kind == "free"' "unreserve vm1" -- "reserve vm1 --gpus 1"
    ;;
  kubernetes)
    walk 'all(.[]; .owner.kind == "kubernetes")' "kubernetes enable" --
    walk 'all(.[]; .owner.kind == "free")' "kubernetes disable" -- "kubernetes enable"
    walk '.[1].owner.kind == "free"' "kubernetes release 1" -- "kubernetes enable"
    ;;
  mps)
    walk 'all(.[]; .mode == "mps")' "mps start" --
    walk 'all(.[]; .mode == "timeslice")' "mps stop" -- "mps start"
    ;;
  mps_busy)
    walk '.[0].mode == "mps"' "mps start --gpu 0 --restart" -- "apply -f $work/pod.yaml"
    walk '.[0].mode == "timeslice"' "mps stop --gpu 0 --restart" -- "mps start --gpu 0" "apply -f $work/pod.yaml"
    ;;
  apply)
    walk '.[0].berths | length == 1' "apply -f $work/pod.yaml" --
    walk '.[0].owner.kind == "free"' "delete -f $work/pod.yaml" -- "apply -f $work/pod.yaml"
    ;;
  workload)
    walk '.[0].owner.kind == "free"' "workload stop sleeper" -- "apply -f $work/pod.yaml"
    walk '.[0].berths | length == 1' "workload start sleeper" -- "apply -f $work/pod.yaml" "workload stop sleeper"
    ;;
  *)
    echo "usage: kill9.sh reserve|kubernetes|mps|mps_busy|apply|workload" >&2
    exit 2
    ;;
esac

finish
