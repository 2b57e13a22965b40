#!/usr/bin/env bash
# Fills the cache of a server, or uses it, in any CI. README.md beside this file explains it.
#
#   generic.sh prefill         with ENVSERVE_PREFILL_TOKEN: has all of environments/ built
#   generic.sh use COMMAND…    with ENVSERVE_TOKEN: runs a command in environments/toolchain.json
#
# ENVSERVE_SERVE names the server.
set -euo pipefail

headers=$(mktemp)
trap 'rm -f "$headers"' EXIT
export ENVSERVE_SERVE_HEADERS=$headers

case ${1:-} in
prefill)
    printf 'authorization: Bearer %s\n' "$ENVSERVE_PREFILL_TOKEN" >"$headers"
    envserve prefill environments/ --all --sources --pin main --keep 14d \
        --report prefill.xml --report prefill.json --strict
    ;;
use)
    shift
    printf 'authorization: Bearer %s\n' "$ENVSERVE_TOKEN" >"$headers"
    envserve fetch --probe environments/toolchain.json >&2 || {
        code=$?
        [ "$code" != 10 ] || envserve explain environments/toolchain.json >&2
        exit "$code"
    }
    envserve shell environments/toolchain.json -- "$@"
    ;;
*)
    echo "usage: $0 prefill | use COMMAND…" >&2
    exit 2
    ;;
esac
