# root.sh DIRECTORY PROGRAM…: copies programs of this host, with all libraries that they need, to a root file system.
set -eu
root=$1
shift
mkdir -p "$root/tmp" "$root/usr/bin" "$root/usr/lib" "$root/usr/lib64"
for directory in bin lib lib64; do
    ln -s "usr/$directory" "$root/$directory"
done

copy() {
    [ ! -e "$root$1" ] || return 0
    mkdir -p "$root${1%/*}"
    cp -L "$1" "$root$1"
}

for program; do
    copy "/usr/bin/$program"
    # What is no dynamic executable needs none.
    { ldd "/usr/bin/$program" 2>/dev/null || :; } | grep -o '/[^ ]*' | while read -r library; do
        copy "$library"
    done
done
