#!/bin/sh
# Tests against PostgreSQL in shell: each is a function, has a copy of its own, and runs beside the others.
set -eu
cd "$(dirname "$0")"

# sql SQL: runs it in the copy of the test.
sql() {
    psql --host "${address%:*}" --port "${address#*:}" --username postgres --dbname postgres --no-psqlrc \
        --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 --command "$1"
}

expect() { [ "$1" = "$2" ] || { echo "$name: expected $2, got $1" >&2; exit 1; }; }

an_order_is_added() {
    sql "insert into orders (customer, cents) values (7, 995)"
    expect "$(sql 'select count(*) from orders')" 100001
}

the_orders_of_a_customer_are_deleted() {
    sql 'delete from orders where customer = 7'
    expect "$(sql 'select count(*) from orders')" 99900
}

a_reset_brings_everything_back() {
    sql 'drop table orders'
    envserve reset "$id"
    expect "$(sql 'select count(*) from orders')" 100000
}

tests="an_order_is_added the_orders_of_a_customer_are_deleted a_reset_brings_everything_back"
# The copies belong to this script ($$, for the parent of the command is a subshell here): they are gone when it is.
copies=$(envserve up postgresql.json -n 3 --owner-pid $$)
running=
for name in $tests; do
    read -r id port _
    address=${port#*=}
    ("$name" && echo "ok $name") &
    running="$running $!"
done <<EOF
$copies
EOF
failed=0
for process in $running; do
    wait "$process" || failed=1
done
exit $failed
