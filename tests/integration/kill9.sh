#!/usr/bin/env bash
# The kill -9 walk (design 13): kill9.sh GROUP. Each operation of the group is run again and again from the same state,
# with the daemon killed at the n-th crossing of a commit that the operation causes, n = 1, 2, ..., until it ends by
# itself. After every death the daemon starts again and must settle: one owner for each GPU (A1), no operation running
# for ever, no container and no MPS daemon without a reason. An operation that was recorded must then have succeeded,
# and what it promised must hold; one that was not must have changed nothing.
set -uo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need jq
need_engine
readonly most_crossings=60
# The daemon lists its crossings here, and is told here at which to die.
failpoint=$work/failpoint
mkdir "$failpoint"
export BERTH_FAILPOINT=$failpoint

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
    volumeMounts:
    - {name: scratch, mountPath: /scratch}
  volumes:
  - {name: scratch, emptyDir: {}}
YAML

crossings() { wc -l <"$failpoint/crossings"; }
arm() { echo "$1" >"$failpoint/kill-at"; }
disarm() { rm -f "$failpoint/kill-at"; }

mps_daemons() {
  local pid count=0
  for pid in $(our_mps_pids); do
    [[ $(readlink "/proc/$pid/exe") == */nvidia-cuda-mps-control ]] && count=$((count + 1))
  done
  echo "$count"
}
# The MPS folders our running containers use: each must be that of a daemon that runs.
used_pipes() {
  local id
  for id in $(our_containers); do
    curl -sS --unix-socket "$engine_socket" "http://engine/v1.41/containers/$id/json" |
      jq -r '.Config.Env[] | select(startswith("CUDA_MPS_PIPE_DIRECTORY=")) | sub(".*="; "")'
  done
}
# Every workload here is the pod with the volume.
volumes_left() {
  curl -sS --get --unix-socket "$engine_socket" \
    --data-urlencode "filters={\"label\":[\"dev.berth.instance=$(realpath -m "$state")\"]}" \
    http://engine/v1.41/volumes | jq '.Volumes // [] | length'
}
pipes_exist() {
  local pipe
  for pipe in $(used_pipes); do [ -S "$pipe/control" ] || return 1; done
}

# Leaves what the daemon says in $operations, $workloads and $gpus.
# shellcheck disable=SC2317  # Called by wait_until.
settled() {
  operations=$("$berth" -o json operation list 2>/dev/null) && gpus=$("$berth" -o json gpu list 2>/dev/null) &&
    workloads=$("$berth" -o json workload list 2>/dev/null) || return
  jq -en --argjson operations "$operations" --argjson workloads "$workloads" --argjson gpus "$gpus" \
    --argjson containers "$(our_containers | wc -l)" --argjson daemons "$(mps_daemons)" \
    --argjson volumes "$(volumes_left)" '
      ([$workloads[].containers[].state] | all(. == "running" or . == "exited")) and
      all($operations[]; .state != "running") and
      $volumes <= ($workloads | length) and
      ([$workloads[].containers[] | select(.state == "running")] | length) == $containers and
      ([$gpus[] | select(.mode == "mps" and .owner.kind != "vm")] | length) == $daemons' >/dev/null
}

consistent() { # WHERE
  if wait_until "$wait_s" settled; then
    passed
  else
    fail "$1: not settled: $(jq -c 'map(select(.state == "running"))' <<<"$operations") $(jq -c . <<<"$workloads")," \
      "containers $(our_containers), MPS $(mps_daemons), volumes $(volumes_left)"
  fi
  if pipes_exist; then passed; else fail "$1: a container's MPS daemon is gone: $(used_pipes)"; fi
  # shellcheck disable=SC2016  # A variable of jq.
  expect_json 'all(.[]; (.owner.kind == "free") == (.berths == []) or .owner.kind == "kubernetes")
    and all(.[]; ([.berths[] | select(.whole)] | length) as $whole | $whole == 0 or (.berths | length) == 1)
    and all(.[]; .owner.kind != "vm" or (.berths | map(.holder.name)) == [.owner.name])' berth gpu list
}

# A box of its own, in the state that the commands lead to.
prepare() { # COMMAND...
  fresh_state
  disarm
  start_daemon t4:2 || return
  local command
  for command in "$@"; do
    # shellcheck disable=SC2086  # The words of one command.
    expect_status 0 berth $command || return
  done
  wait_until "$wait_s" settled
}

operation_count() { "$berth" -o json operation list | jq length; }

# shellcheck disable=SC2317  # Called by wait_until.
over() { # BEFORE
  gone "$daemon_pid" || json_is "length == $1 or all(.[]; .state != \"running\")" operation list
}

# What became of the operation that was recorded after the first BEFORE ones, if any.
outcome() { # WHERE HOLDS BEFORE PICTURE
  local recorded
  recorded=$(($(operation_count) - $3))
  if [ "$recorded" = 0 ]; then
    wait_until "$wait_s" settled
    expect_same "$1: it was not recorded" "$4" "$(picture)"
  else
    expect_json "length == $3 + 1 and (max_by(.id | ltrimstr(\"op-\") | tonumber) | .state == \"succeeded\")" \
      berth operation list
    expect_json "$2" berth gpu list
  fi
  return $((recorded == 0))
}

# walk HOLDS OPERATION BACK PREPARATION...: what must hold of `berth gpu list` once the operation was recorded, the
# operation, and what undoes it. Each is a quoted command of berth's.
walk() {
  local holds=$1 operation=$2 back=$3 n=0 lived=0 deaths=0
  shift 3
  prepare "$@" || return
  while [ "$lived" = 0 ] && [ "$n" -lt "$most_crossings" ]; do
    n=$((n + 1))
    local before already target failures_before=$failures where="$operation, killed at $n"
    before=$(picture) already=$(operation_count) target=$(($(crossings) + n))
    arm "$target"
    # shellcheck disable=SC2086
    timeout "$command_s" "$berth" --no-wait $operation >"$work/out" 2>&1
    wait_until "$wait_s" over "$already"
    disarm
    # One that has just listed the crossing it dies at may still be dying.
    [ "$(crossings)" -lt "$target" ] || wait_until 2 gone "$daemon_pid"
    if gone "$daemon_pid"; then
      deaths=$((deaths + 1))
      [ "$(crossings)" = "$target" ] || fail "$where: it died elsewhere, at $(crossings) of $target"
      start_daemon t4:2 || return
    else
      lived=1
      [ "$(operation_count)" != "$already" ] || fail "$where: it was refused: $(cat "$work/out")"
    fi
    consistent "$where"
    local done=1
    outcome "$where" "$holds" "$already" "$before" || done=0
    if [ "$lived" = 1 ]; then
      break
    elif [ "$failures" != "$failures_before" ]; then
      prepare "$@" || return
    elif [ "$done" = 1 ]; then
      # shellcheck disable=SC2086
      expect_status 0 berth $back
      wait_until "$wait_s" settled || fail "$where, $back: not settled"
    fi
  done
  say "$operation: $deaths deaths walked in $SECONDS s"
  [ "$lived" = 1 ] || fail "$operation never ended by itself within $most_crossings crossings"
  [ "$deaths" -gt 1 ] || fail "$operation: the daemon died $deaths times only"
}

case ${1-} in
  reserve)
    walk '.[0].owner.name == "vm1"' "reserve vm1 --gpus 1" "unreserve vm1"
    walk '.[0].owner.kind == "free"' "unreserve vm1" "reserve vm1 --gpus 1" "reserve vm1 --gpus 1"
    ;;
  kubernetes)
    walk 'all(.[]; .owner.kind == "kubernetes")' "kubernetes enable" "kubernetes disable"
    walk 'all(.[]; .owner.kind == "free")' "kubernetes disable" "kubernetes enable" "kubernetes enable"
    walk '.[1].owner.kind == "free"' "kubernetes release 1" "kubernetes enable" "kubernetes enable"
    ;;
  mps)
    walk 'all(.[]; .mode == "mps")' "mps start" "mps stop"
    walk 'all(.[]; .mode == "timeslice")' "mps stop" "mps start" "mps start"
    ;;
  mps_busy)
    walk '.[0].mode == "mps"' "mps start --gpu 0 --restart" "mps stop --gpu 0 --restart" "apply -f $work/pod.yaml"
    walk '.[0].mode == "timeslice"' "mps stop --gpu 0 --restart" "mps start --gpu 0 --restart" \
      "mps start --gpu 0" "apply -f $work/pod.yaml"
    ;;
  apply)
    walk '.[0].berths | length == 1' "apply -f $work/pod.yaml" "delete -f $work/pod.yaml"
    walk '.[0].owner.kind == "free"' "delete -f $work/pod.yaml" "apply -f $work/pod.yaml" "apply -f $work/pod.yaml"
    ;;
  workload)
    walk '.[0].owner.kind == "free"' "workload stop sleeper" "workload start sleeper" "apply -f $work/pod.yaml"
    walk '.[0].berths | length == 1' "workload start sleeper" "workload stop sleeper" \
      "apply -f $work/pod.yaml" "workload stop sleeper"
    ;;
  *)
    echo "usage: kill9.sh reserve|kubernetes|mps|mps_busy|apply|workload" >&2
    exit 2
    ;;
esac

finish
