# Runs a command in a root file system, and archives what it has changed there.
#
#   run.sh DIRECTORY COMMAND...
#
# Started in the input root of an action, where `root.tar` is the root file system. COMMAND enters `merged`, where that
# stands, and starts in DIRECTORY of it. The upper layer of an overlay, as the command left it, ends up in
# `made/layer.tar`. It takes util-linux, coreutils, GNU tar, and 65,536 users: owners in the file system are others than
# on the host. Root of the host makes them up; a root that has so many goes on with them; others need `newuidmap`.
set -eu
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export LC_ALL
umask 022
ulimit -S -c 0
users=65536

lacks() {
    printf 'this worker cannot run steps of images: %s\n' "$*" >&2
    exit 125
}

count() {
    total=0
    while read -r _ _ number; do total=$((total + number)); done </proc/self/uid_map
    echo "$total"
}

# Paths are relative from here on: what is above the directory may be closed to the users.
overlay() { mount --no-canonicalize -t overlay -o userxattr,lowerdir=lower,upperdir=upper,workdir=work overlay merged; }

case $1 in
probe)
    [ "$(count)" -ge "$users" ] || lacks "it gives fewer than $users users, which range \`user-ids\` = \`range\` gives, or lines of /etc/subuid and /etc/subgid"
    mkdir lower upper work merged
    overlay
    exit
    ;;
inside) shift ;;
*)
    for program in chroot find id mktemp mount nsenter setpriv tar unshare; do
        command -v "$program" >/dev/null || lacks "\`$program\` is not installed"
    done
    script=$(cat "$0")
    network=--net
    # A worker that shows nothing but the loopback has cut off the network already, and its loopback is up.
    sed 1,2d /proc/net/dev | grep -qv '^ *lo:' || network=
    owner=
    if [ "$(id -u)" != 0 ]; then
        enter='unshare --user --map-root-user --map-auto'
        $enter true || lacks "it gives its user no range of users: package \`uidmap\`, and lines of /etc/subuid and /etc/subgid; embedded executors give one for the property \`user-ids\` = \`range\`"
        remove="$enter rm -rf"
    elif [ "$(tr -s ' ' ' ' </proc/self/uid_map)" = ' 0 0 4294967295' ]; then
        owner=100000
        unshare --user sleep 60 &
        holder=$!
        here=$(readlink /proc/self/ns/user)
        until [ "$(readlink /proc/$holder/ns/user)" != "$here" ]; do
            kill -0 "$holder" 2>/dev/null || lacks 'it makes no user namespaces'
            sleep 0.01
        done
        echo "0 $owner $users" >/proc/$holder/uid_map
        echo "0 $owner $users" >/proc/$holder/gid_map
        exec 9</proc/$holder/ns/user
        kill "$holder"
        enter="nsenter --user=/proc/$$/fd/9"
        remove='rm -rf'
    else
        enter=
        remove='rm -rf'
    fi
    mkdir made
    code=0
    for parent in . "${TMPDIR:-/tmp}" /var/tmp; do
        scratch=$(mktemp -d "$parent/run.XXXXXX" 2>/dev/null) || continue
        trap '$remove "$scratch"' EXIT
        [ -z "$owner" ] || chown "$owner:$owner" "$scratch"
        said=$(cd "$scratch" && $enter unshare --mount /bin/sh -c "$script" sh probe 2>&1) || code=$?
        [ "$code" != 125 ] || { echo "$said" >&2 && exit 125; }
        if [ "$code" = 0 ]; then
            exec 7<root.tar 8>made/layer.tar
            cd "$scratch"
            # shellcheck disable=SC2086
            $enter unshare --mount --ipc --uts --pid --fork --kill-child $network \
                /bin/sh -c "$script" sh inside "$network" "$@" || code=$?
            cd "$OLDPWD"
            exit "$code"
        fi
        code=0
        $remove "$scratch"
    done
    lacks "no directory that it gives takes the upper layer of an overlay: $said"
    ;;
esac

network=$1
directory=$2
shift 2
[ -z "$network" ] || { ip link set lo up 2>/dev/null || :; }
hostname localhost 2>/dev/null || :
tar --extract --file - --directory lower --same-permissions --same-owner --numeric-owner \
    --xattrs --xattrs-include='*' --delay-directory-restore <&7 || lacks 'it cannot unpack the root file system'
exec 7<&- 9<&-
# What the worker mounts has its places below, so they are no part of the layer.
for point in proc dev sys; do
    [ ! -L lower/$point ] || { echo "/$point of the image is a symlink: nothing can be run in it" >&2 && exit 126; }
    [ -d lower/$point ] || mkdir lower/$point
done
chown --reference lower upper
chmod --reference lower upper
overlay
at=merged
rest=${directory#/}/
while [ -n "${rest#/}" ]; do
    at=$at/${rest%%/*}
    rest=${rest#*/}
    # What is behind a symlink is left to the command.
    [ ! -L "$at" ] || break
    [ -d "$at" ] || mkdir "$at"
done
mount --no-canonicalize -t proc proc merged/proc 2>/dev/null || mount --no-canonicalize --rbind /proc merged/proc
mount --no-canonicalize -t tmpfs -o ro,mode=555 sys merged/sys
mount --no-canonicalize -t tmpfs -o mode=755 dev merged/dev
mkdir merged/dev/pts merged/dev/shm
chmod 1777 merged/dev/shm
for device in null zero full random urandom tty; do
    : >merged/dev/$device
    mount --no-canonicalize --bind /dev/$device merged/dev/$device
done
mount --no-canonicalize -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts merged/dev/pts
ln -s pts/ptmx merged/dev/ptmx
ln -s /proc/self/fd merged/dev/fd
for number in 0:stdin 1:stdout 2:stderr; do ln -s /proc/self/fd/${number%:*} merged/dev/${number#*:}; done

code=0
"$@" </dev/null 8>&- || code=$?
# Nothing that the command has left running may write any more.
kill -KILL -1 2>/dev/null || :
[ "$code" = 0 ] || exit "$code"
tar --create --file - --directory upper --format pax --sort name --numeric-owner --xattrs --xattrs-include='*' . >&8
