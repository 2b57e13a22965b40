#!/bin/bash
# Asks the service that this action has beside it. It is this action's own, and was warmed up long ago.
exec 3<>/dev/tcp/127.0.0.1/8080
printf 'GET /squares/111 HTTP/1.0\r\n\r\n' >&3
[ "$(tail -n 1 <&3)" = 12321 ]
