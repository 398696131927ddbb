#!/usr/bin/env bash
# The simulated driver as a program that nobody here wrote sees it: nvtop 3.0.1, drawn in tmux, shows the names, memory
# and utilisation of two GPUs and the jobs on them, sees a job end and a GPU fall off the bus.
#
# nvtop is in Debian's component contrib. It is fetched once into the build tree, with apt lists of its own: the
# system's sources and packages stay as they are.
set -uo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
need jq tmux apt-get dpkg
root=$BERTH_BUILD_DIR/simdriver-root
cache=$BERTH_BUILD_DIR/nvtop
nvtop=$cache/root/usr/bin/nvtop
readonly version=3.0.1 mirror=${MIRROR:-http://deb.debian.org/debian}
readonly keyring=/usr/share/keyrings/debian-archive-keyring.gpg
export BERTH_SIM_DIR=$work/gpus
jobs=()

contrib_apt() {
  timeout 60 apt-get -qq -o Dir::Etc::SourceList="$cache/sources.list" -o Dir::Etc::SourceParts=/dev/null \
    -o Dir::State::Lists="$cache/lists" -o Dir::Cache="$cache/cache" -o APT::Sandbox::User=root \
    -o APT::Update::Error-Mode=any -o Acquire::Retries=0 -o Acquire::http::Timeout=20 "$@"
}

# Into a folder that only takes its name when it is complete.
fetch_nvtop() {
  [ ! -x "$nvtop" ] || return 0
  rm -rf "$cache"
  mkdir -p "$cache/lists/partial" "$cache/cache/archives/partial" "$cache/new"
  echo "deb [signed-by=$keyring] $mirror bookworm contrib" >"$cache/sources.list"
  (cd "$cache" && contrib_apt update && contrib_apt download "nvtop=$version*" && dpkg -x nvtop_*.deb new) \
    >"$cache/log" 2>&1 && mv "$cache/new" "$cache/root"
}

# shellcheck disable=SC2317  # Called through trap.
end_jobs() {
  local code=$? pid
  tmux -S "$work/tmux" kill-server 2>/dev/null
  for pid in "${jobs[@]}"; do kill -KILL "$pid" 2>/dev/null; done
  (exit "$code") # For leave(), which ends with it.
  leave
}
trap end_jobs EXIT

# A job that outlasts the test, on one GPU.
start_job() { # GPU
  NVIDIA_VISIBLE_DEVICES=$1 LD_LIBRARY_PATH=$root/lib "$BERTH_BUILD_DIR/samples/nbody" -benchmark -i=1000000 \
    >"$work/job$1.log" 2>&1 &
  jobs+=($!)
  disown $!
}

screen() { tmux -S "$work/tmux" capture-pane -p; }
# shellcheck disable=SC2317  # Called by wait_until.
shows() { screen | grep -qE -- "$1"; }
# shellcheck disable=SC2317
shows_not() { ! screen | grep -qE -- "$1"; }

expect_shown() { # WHAT REGEX...
  local what=$1 regex
  shift
  for regex in "$@"; do
    if wait_until 15 shows "$regex"; then
      passed
    else
      fail "nvtop does not show $what ($regex):"
      screen | grep -v '^ *│\|^$' | sed 's/^/    | /'
    fi
  done
}

expect_hidden() { # WHAT REGEX
  if wait_until 15 shows_not "$2"; then passed; else fail "nvtop still shows $1"; fi
}

# One line of nvtop's table of processes: at least LOW % of the GPU, the memory that the simulated GPU itself counts.
expect_process() { # PID GPU UTILISATION-REGEX
  local mib
  mib=$(model ".[$2].processes[] | select(.pid == $1) | .memoryBytes / 1048576 | floor")
  [ "${mib:-0}" -gt 0 ] || fail "GPU $2 knows nothing of process $1"
  expect_shown "process $1" "^ *$1 +[^ ]+ +$2 +Compute +$3% +${mib}MiB .*nbody"
}

model() { "$root/bin/berth-sim" status "$BERTH_SIM_DIR" --json | jq -r "$1"; }
# shellcheck disable=SC2317  # Called by wait_until.
jobs_run() { [ "$(model '[.[].processes | length] == [2, 1] and all(.[]; .utilisationPercent > 98)')" = true ]; }

fetch_nvtop || skip "nvtop $version of Debian's contrib is not to be had: $(grep -m 1 '^[EW]:' "$cache/log")"
ldd "$nvtop" | grep -q 'not found' && skip "nvtop's libraries are not here: $(ldd "$nvtop" | grep 'not found')"

say "$("$nvtop" --version), two jobs on a T4, one on an A2"
expect_status 0 "$root/bin/berth-sim" create "$BERTH_SIM_DIR" t4:1,a2:1
for gpu in 0 0 1; do start_job "$gpu"; done
wait_until "$wait_s" jobs_run || fail "the jobs do not run: $(cat "$work"/job*.log)"
HOME=$work LC_ALL=C.UTF-8 tmux -u -f /dev/null -S "$work/tmux" new-session -d -x 160 -y 45 \
  "LD_LIBRARY_PATH=$root/lib exec $nvtop"

expect_shown "the GPUs' names" 'Device 0 \[Tesla T4\].*Device 1 \[NVIDIA A2\]'
expect_shown "their load and memory" \
  'GPU\[\|+100%\] +MEM\[[| ]*0\.[0-9]+Gi/15\.000Gi\] +GPU\[\|+100%\] +MEM\[[| ]*0\.[0-9]+Gi/14\.996Gi\]'
expect_shown "clocks, heat and power" \
  'GPU 1590MHz MEM 5001MHz TEMP +[0-9]+.C .*POW +69 / +70 W +GPU 1770MHz MEM 6251MHz TEMP +[0-9]+.C .*POW +59 / +60 W'
say "two jobs share a GPU in time, one has one to itself"
expect_shown "the memory that is published for this job" "^ *${jobs[0]} .* 109MiB "
expect_process "${jobs[0]}" 0 '(4[5-9]|5[0-5])'
expect_process "${jobs[1]}" 0 '(4[5-9]|5[0-5])'
expect_process "${jobs[2]}" 1 '100'

say "a job ends"
kill -KILL "${jobs[0]}"
expect_hidden "the job that ended" "^ *${jobs[0]} "
expect_process "${jobs[1]}" 0 '100'

say "a GPU falls off the bus and comes back"
expect_status 0 "$root/bin/berth-sim" fault "$BERTH_SIM_DIR" 1 lost
expect_shown "the lost GPU" 'Device 1 \[NVIDIA A2\] +PCIe GEN *N/A' 'GPU\[\|+100%\].*GPU\[ +N/A\] MEM\[ +N/A\]'
expect_hidden "a job on the lost GPU" "^ *${jobs[2]} "
expect_status 0 "$root/bin/berth-sim" fault "$BERTH_SIM_DIR" 1 recovered
expect_shown "the GPU again" 'GPU\[\|+100%\].*GPU\[ +0%\] +MEM\[ +0\.000Gi/14\.996Gi\]'

finish
