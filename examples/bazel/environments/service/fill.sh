# What takes a while, and is done once: in the checkpoint it is done.
mkdir /srv/squares
number=1
while [ "$number" -le 1000 ]; do
    echo "$((number * number))" >"/srv/squares/$number"
    number=$((number + 1))
done
