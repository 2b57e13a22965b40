# Serves the database in $PGDATA, which is made first when there is none.
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    initdb --auth=trust --encoding=UTF8 --locale=C.UTF-8 >/dev/null
    # No client comes from elsewhere than the loopback of the instance; compiled queries need what the image lacks.
    cat >>"$PGDATA/postgresql.conf" <<EOF
unix_socket_directories = ''
jit = off
EOF
fi
exec postgres
