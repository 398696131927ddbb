#!/usr/bin/env bash
# systemd understands every line of the unit. usage: systemd_unit.sh BUILD_DIR
set -euo pipefail
unit=$1/packaging/berthd.service
command -v systemd-analyze >/dev/null || { echo "SKIP: systemd-analyze is not installed"; exit 77; }

# Verified as it will be, but for the program, which is not installed yet.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sed "s|^ExecStart=[^ ]*|ExecStart=$1/bin/berthd|" "$unit" >"$work/berthd.service"
complaints=$(systemd-analyze verify --man=no --recursive-errors=no "$work/berthd.service" 2>&1) || {
  echo "$complaints" >&2
  exit 1
}
# Unknown settings are warnings to systemd and mistakes here.
if grep -F berthd.service <<<"$complaints"; then exit 1; fi
