#!/bin/sh
# A message through ten nodes, each in a process of its own. Take one away, and see who complains.
#
#     $ sh ten.sh
#     $ tcplab connect localhost:50551
#
# The nodes listen on ten ports in a row, the first of which may be given. The framing may be too,
# and a program of yours as the last link: sh ten.sh 50551 stream tcp:localhost:8888
set -eu
first=${1:-50551} framing=${2:-lines} last=${3:-}

nodes=
trap 'kill $nodes 2>/dev/null || :; wait' EXIT
trap exit INT TERM
port=$first
for name in ada bob cleo dan eve fay gil hana ivo jo; do
    next=tcp:127.0.0.1:$((port + 1))
    [ $name = jo ] && next=$last
    twistd -n tcplab --port "$port" --behaviour "relay,name=$name,next=$next,framing=$framing" &
    nodes="$nodes $!"
    port=$((port + 1))
done
wait
