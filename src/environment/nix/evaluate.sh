# Evaluates the expression in `work/source` with the inputs in `work/inputs`. Started in the input root of an action.
#
# What is evaluated lies at a fixed place, so that paths in it are the same on every worker, and has no network.
# Leaves the derivation as JSON in `work/result`, and all derivations and sources in `work/store`. What evaluation
# needs built first is named in `work/needed`.
set -eu
PATH=${PATH:-/usr/bin:/bin}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/nix/var/nix/profiles/default/bin
PATH=$PATH:/run/current-system/sw/bin
if [ "${1:-}" != inside ]; then
    command -v nix-instantiate >/dev/null || { echo "this worker has no nix-instantiate" >&2; exit 127; }
    exec unshare --user --map-root-user --mount --net /bin/sh "$0" inside
fi
mount --bind work /tmp
cd /tmp
mkdir -p home store
nix() {
    program=$1
    shift
    env -i HOME=/tmp/home USER=root NIX_CONF_DIR=/tmp/none PATH="$PATH" "$program" \
        --store /tmp/store --option build-users-group "" --option substitute false "$@"
}
[ ! -e registration ] || nix nix-store --load-db <registration
set -- -I /tmp/evaluate.nix -I /tmp/settings.json -I /tmp/source
for input in inputs/*; do
    [ ! -e "$input" ] || set -- "$@" -I "${input#inputs/}=/tmp/$input"
done
code=0
nix nix-instantiate --eval --strict --json --read-write-mode --option restrict-eval true \
    --option max-jobs 0 --option builders "" "$@" /tmp/evaluate.nix >result 2>errors || code=$?
if [ "$code" != 0 ]; then
    needed=$(sed -n "s/.*envserve needs \(.*\) ;.*/\1/p" errors)
    if [ -n "$needed" ]; then
        printf '%s\n' "$needed" >needed
        exit 0
    fi
fi
cat errors >&2
exit "$code"
