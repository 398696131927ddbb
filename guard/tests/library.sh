#!/usr/bin/env bash
# library.sh LIBRARY HOOKS: the library exports what it takes over and nothing else, needs libc alone, of a glibc that
# old images have, and heeds no environment variable.
set -euo pipefail
library=$1 hooks=$2
failed=0
check() { # WHAT WANTED GOT
  [ "$2" = "$3" ] && return
  printf 'FAILED: %s\nwanted:\n%s\ngot:\n%s\n' "$1" "$2" "$3" >&2
  failed=1
}
wanted=$({ sed -n 's/^HOOK(\([A-Za-z0-9_]*\),.*/\1/p' "$hooks"; printf 'dlsym\ndlvsym\n'; } | LC_ALL=C sort)
exported=$(nm -D --defined-only --format=posix "$library" | awk '{ print $1 }' | LC_ALL=C sort)
check "exported symbols" "$wanted" "$exported"
check "libraries needed" "libc.so.6" "$(readelf -d "$library" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')"
check "the newest glibc version needed" "GLIBC_2.17" \
  "$(nm -D --undefined-only "$library" | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -n 1)"
check "calls that read the environment, print or allocate" "" \
  "$(nm -D --undefined-only --format=posix "$library" | awk '{ print $1 }' |
    grep -E '^(getenv|secure_getenv|environ|malloc|calloc|realloc|free|printf|fprintf|puts|write|abort|__cxa_throw)(@|$)' || true)"
check "kept when it is closed" "NODELETE" "$(readelf -d "$library" | grep -o 'NODELETE')"
exit "$failed"
