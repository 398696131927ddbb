#!/usr/bin/env bash
# Every bad input of the command line and of the manifests: a message with file, place and cause, the right exit status,
# and nothing half done.
set -uo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need jq sqlite3
need_engine

# pod NAME ENV-VALUE [LIMIT] [EXTRA-LINE]: prints a Pod.
pod() {
  cat <<YAML
apiVersion: v1
kind: Pod
metadata:
  name: $1
spec:
  terminationGracePeriodSeconds: 0
  restartPolicy: Never
  containers:
  - name: main
    image: ${image:-nvidia/samples:nbody}
    command: ["sleep", "600"]
YAML
  [ -z "${2-}" ] || printf '    env:\n    - {name: %s, value: "%s"}\n' "${2%%=*}" "${2#*=}"
  [ -z "${3-}" ] || printf '    resources: {limits: {%s}}\n' "$3"
}

# refused STATUS FILE TEXT...: applying fails so, says each TEXT, and changes nothing.
refused() {
  local wanted=$1 file=$2 before
  shift 2
  before=$(picture)
  expect_status "$wanted" berth apply -f "$work/$file"
  expect_err "$file" "$@"
  expect_same "$file: half done" "$before" "$(picture)"
}

start_daemon t4:2 || finish
say "GPUs that are not there"
expect_status 1 berth gpu show 7
expect_err '"7"'
expect_status 1 berth gpu mode GPU-ffffffff mps
expect_err GPU-ffffffff
pod a NVIDIA_VISIBLE_DEVICES=7 >"$work/index.yaml"
refused 3 index.yaml "env[0].value" 7
pod a NVIDIA_VISIBLE_DEVICES=GPU-ffffffff-0000-0000-0000-000000000000 >"$work/uuid.yaml"
refused 3 uuid.yaml "env[0].value" GPU-ffffffff

say "one container, two GPUs (A10)"
pod a NVIDIA_VISIBLE_DEVICES=0,1 >"$work/two.yaml"
refused 3 two.yaml "env[0].value" "0,1"

say "percentages (A11)"
for value in 0 101 20% ""; do
  pod a "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE=$value" >"$work/percent.yaml"
  refused 3 percent.yaml "env[0].value"
done

say "nvidia.com/gpu"
pod a "" 'nvidia.com/gpu: 3' >"$work/three.yaml"
refused 3 three.yaml "3"
pod a "" 'nvidia.com/gpu: -1' >"$work/negative.yaml"
refused 3 negative.yaml nvidia.com/gpu
pod a "" 'nvidia.com/gpu: "0.5"' >"$work/fraction.yaml"
refused 3 fraction.yaml nvidia.com/gpu

say "YAML"
printf 'kind: Pod\n\tmetadata: {}\n' >"$work/tab.yaml"
refused 2 tab.yaml ":2:"
printf 'kind: Pod\nkind: Job\n' >"$work/twice.yaml"
refused 2 twice.yaml ":2:" kind
{
  echo 'a0: &a0 [x, x, x, x, x, x, x, x, x, x]'
  for n in 1 2 3 4 5 6 7 8 9; do
    p=$((n - 1))
    echo "a$n: &a$n [*a$p, *a$p, *a$p, *a$p, *a$p, *a$p, *a$p, *a$p, *a$p, *a$p]"
  done
} >"$work/bomb.yaml"
refused 2 bomb.yaml
head -c 100M /dev/zero | tr '\0' '#' >"$work/big.yaml"
refused 2 big.yaml
rm "$work/big.yaml"
{ pod a; echo ---; pod b NVIDIA_VISIBLE_DEVICES=0,1; echo ---; pod c; } >"$work/second.yaml"
refused 3 second.yaml
jq -n '{modulesContent: {"$edgeAgent": {"properties.desired": {schemaVersion: "1.1", runtime: {type: "docker"},
  modules: {m: {type: "docker", version: "1.0", status: "running", restartPolicy: "never",
  settings: {image: "nvidia/samples:nbody", createOptions: "{not json"}}}}}}}' >"$work/options.json"
refused 2 options.json createOptions
image=localhost/no-such:1 pod a >"$work/image.yaml"
refused 1 image.yaml no-such

say "unknown fields are warnings"
{ pod known; echo "  frobnication: 7"; } >"$work/known.yaml"
expect_status 0 berth apply -f "$work/known.yaml"
expect_err "warning:" spec.frobnication
say "a name taken"
pod known NVIDIA_VISIBLE_DEVICES=0 >"$work/taken.yaml"
before=$(picture)
expect_status 3 berth apply -f "$work/taken.yaml"
expect_err known taken
expect_same "taken: half done" "$before" "$(picture)"
expect_status 0 berth delete -f "$work/known.yaml"

say "two daemons, one state"
expect_status 1 "$berthd" --simulate t4:2 --state-dir "$state"
expect_err "$daemon_pid"
expect_json 'length == 2' berth gpu list
say "a state of a newer schema"
stop_daemon
sqlite3 "$state/ledger.db" 'PRAGMA user_version=99'
expect_status 1 "$berthd" --simulate t4:2 --state-dir "$state"
expect_err 99

finish
