#!/bin/sh
# debian.sh: puts a Debian root file system, and the packages of the servers, into the directory `debian`.
#
# They are those of this host's Debian, from where its apt gets packages; apt verifies them. Nothing is installed here:
# that is a step of the image.
set -eu
cd "$(dirname "$0")"
. /etc/os-release
sources=/etc/apt/sources.list.d/debian.sources
[ -e "$sources" ] || sources=/etc/apt/sources.list
rm -rf debian.new
mkdir -p debian.new/packages

# The same packages make the same bytes, whenever this runs.
export SOURCE_DATE_EPOCH=1
mmdebstrap --quiet --variant=essential --format=tar --dpkgopt=force-unsafe-io \
    --aptopt='Acquire::Languages "none"' \
    --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/man/*' \
    --customize-hook='APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get -q -y --no-install-recommends --download-only \
        install postgresql tomcat10-user default-jre-headless >&2' \
    --customize-hook="mv \"\$1\"/var/cache/apt/archives/*.deb '$PWD/debian.new/packages'" \
    "$VERSION_CODENAME" debian.new/root.tar "$sources"
rm -rf debian
mv debian.new debian
