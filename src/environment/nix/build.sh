# Runs the builder of a derivation as Nix's sandbox does, with what this host has: util-linux, and a shell.
#
#   build.sh network|isolated COMMAND...
#
# Started in the input root of an action, where `root` is the root file system that the builder sees: the closure of
# its inputs in `root/nix/store`, where its outputs go too. `outputs` names these, one a line; they end up in `made`.
# COMMAND enters `root`.
set -eu
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
umask 022
ulimit -S -c 0
if [ "$1" != inside ]; then
    network=$1
    shift
    unshared=
    # A worker that shows nothing but the loopback has cut off the network already, and its loopback is up.
    if [ "$network" = isolated ] && sed 1,2d /proc/net/dev | grep -qv '^ *lo:'; then
        unshared=--net
    fi
    code=0
    # shellcheck disable=SC2086
    unshare --user --map-root-user --mount --ipc --uts --pid --fork --kill-child $unshared \
        /bin/sh "$0" inside "$network" $unshared -- "$@" || code=$?
    [ "$code" = 0 ] || exit "$code"
    # Not every worker takes a symlink that is an output itself, but each takes what is in a directory.
    mkdir made
    while read -r output; do
        output=root/nix/store/$output
        [ ! -e "$output" ] && [ ! -L "$output" ] || mv "$output" made/
    done <outputs
    exit 0
fi
network=$2
[ "$3" = -- ] || { ip link set lo up 2>/dev/null || :; }
while [ "$1" != -- ]; do shift; done
shift

mkdir -p root/proc root/dev root/tmp root/build root/etc
# The modes and times of what belongs to somebody else stay as they are.
chmod 1777 root/tmp 2>/dev/null || :
chmod 1775 root/nix/store 2>/dev/null || :
chmod 750 root 2>/dev/null || :
chmod 700 root/build 2>/dev/null || :
if [ -n "$(find root/nix/store -mindepth 1 -maxdepth 1 -newermt @1 -print -quit)" ]; then
    find root/nix/store -mindepth 1 -exec touch --no-dereference --date=@1 {} + 2>/dev/null || :
fi
mount --bind root root
mount -t proc proc root/proc 2>/dev/null || mount --rbind /proc root/proc
mount -t tmpfs -o mode=755 dev root/dev
mkdir root/dev/pts root/dev/shm
chmod 1777 root/dev/shm
for device in null zero full random urandom tty; do
    : >root/dev/$device
    mount --bind /dev/$device root/dev/$device
done
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts root/dev/pts
ln -s pts/ptmx root/dev/ptmx
ln -s /proc/self/fd root/dev/fd
for number in 0:stdin 1:stdout 2:stderr; do ln -s /proc/self/fd/${number%:*} root/dev/${number#*:}; done
hostname localhost
if [ "$network" = network ]; then
    for file in resolv.conf nsswitch.conf services hosts; do
        [ ! -e /etc/$file ] || { rm -f root/etc/$file && cat /etc/$file >root/etc/$file; }
    done
fi

code=0
"$@" </dev/null || code=$?
# Nothing that the builder has left running may write any more.
kill -KILL -1 2>/dev/null || :
[ "$code" = 0 ] || exit "$code"

# What cannot be read could not be taken along. All that Nix keeps of a mode is the owner's executable bit.
while read -r output; do
    output=root/nix/store/$output
    [ -e "$output" ] || continue
    find "$output" -type d ! -perm -u=rwx -exec chmod u+rwx {} \;
    find "$output" -type f ! -perm -u=r -exec chmod u+r {} +
    special=$(find "$output" ! -type f ! -type d ! -type l)
    if [ -n "$special" ]; then
        printf '%s is neither file, directory nor symlink\n' "${special#root}" >&2
        exit 1
    fi
done <outputs
