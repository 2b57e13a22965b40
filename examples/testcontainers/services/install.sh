# Installs the servers from /packages, in the image: a step of `run`.
set -eu
# The service makes its database itself, and installing a server is no reason to start it.
mkdir -p /etc/postgresql-common
echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
chmod +x /usr/sbin/policy-rc.d

export DEBIAN_FRONTEND=noninteractive
# Without the compiler of queries, which is larger than the server.
dpkg --install --force-unsafe-io --path-exclude='*/libLLVM*' --path-exclude='*/libz3*' /packages/*.deb >/dev/null

# Where the data of the servers is, and theirs.
install --directory --owner=postgres --mode=0700 /srv/data
tomcat10-instance-create /srv/tomcat >/dev/null
chown -R daemon:daemon /srv/tomcat

# Nothing that is private, or has a time in it.
rm -rf /packages /etc/ssl/private/* /etc/ssl/certs/ssl-cert-snakeoil.pem /usr/sbin/policy-rc.d
rm -f /var/log/*.log /var/cache/ldconfig/aux-cache
