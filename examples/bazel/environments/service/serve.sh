# Serves until it is asked to stop.
trap 'exit 0' TERM
busybox httpd -f -p 8080 -h /srv &
wait
