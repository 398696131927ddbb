#!/usr/bin/env bash
# A client's fatal fault under MPS (peers.md 3.5): its victims are named, the generation is replaced, each container
# goes on as its restart policy says, and the other GPU's do not notice.
set -uo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need jq
need_engine
sim_client=$BERTH_BUILD_DIR/tests/sim_client
[ -x "$sim_client" ] || skip "the simulated driver's test client is not built ($sim_client)"

pod() { # NAME GPU RESTART-POLICY
  cat <<YAML
---
apiVersion: v1
kind: Pod
metadata: {name: $1}
spec:
  restartPolicy: $3
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: nvidia/samples:nbody
    command: ["sleep", "1000"]
    env:
    - {name: NVIDIA_VISIBLE_DEVICES, value: "$2"}
YAML
}

# fault GPU: a program of the host that is a client of the GPU's MPS server and breaks it. It stays, as programs do that
# have not noticed: a server that all clients have left recovers by itself.
fault() {
  local uuid pipe
  uuid=$("$berth" -o json gpu list | jq -r ".[$1].uuid")
  pipe=$(echo "$state/run/mps/$uuid"/*/pipe)
  mkfifo "$work/to-client"
  BERTH_SIM_DIR=$state/run/sim CUDA_MPS_PIPE_DIRECTORY=$pipe NVIDIA_VISIBLE_DEVICES=$uuid timeout 60 "$sim_client" \
    <"$work/to-client" >"$work/client" 2>&1 &
  exec 3>"$work/to-client"
  printf 'open\nraise\n' >&3
}

start_daemon t4:2 || finish
expect_status 0 berth mps start
{ pod always 0 Always && pod never 0 Never && pod other 1 Always; } >"$work/pods.yaml"
expect_status 0 berth apply -f "$work/pods.yaml"
expect_soon 'length == 3 and all(.[]; .state == "running")' workload list
untouched=$("$berth" -o json mps status | jq -c '.[1] | [.pid, .generation]')
other=$(our_containers | wc -l)

say "a fatal fault on GPU 0"
fault 0
expect_soon 'any(.[]; .kind == "mps.fault")' events
expect_json '[.[] | select(.kind == "mps.fault")] | length == 1 and (.[0] | .subject == "GPU 0" and
  (.message | test("generation 1 ended: .*fatal fault.*; hit: always/0/main, never/0/main$")))' berth events
exec 3>&-  # The culprit, which is nobody's container, leaves; until then no server can take the GPU.
expect_soon '.[0].state == "running" and .[0].generation > 1' mps status
expect_soon 'map({(.name): [.state, .containers[0].restarts]}) | add ==
  {always: ["running", 1], never: ["failed", 0], other: ["running", 0]}' workload list
expect_same "MPS of GPU 1" "$untouched" "$("$berth" -o json mps status | jq -c '.[1] | [.pid, .generation]')"
expect_same "containers" "$((other - 1))" "$(our_containers | wc -l)"

say "only the GPU's own berths remain"
expect_json 'map(.berths | map(.holder.name)) == [["always/0/main"], ["other/0/main"]]' berth gpu list
expect_status 0 berth delete -f "$work/pods.yaml"
expect_soon 'all(.[]; .berths == [])' gpu list

finish
