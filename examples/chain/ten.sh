#!/bin/sh
# A message through ten nodes, each in a process of its own. End one, and read the answer.
#
#     $ sh ten.sh
#     $ tcplab connect localhost:20551
#
# The nodes listen on ten ports in a row, the first of which may be given. So may the
# framing, and a program of yours behind the last node: sh ten.sh 20551 stream tcp:localhost:8888
set -eu
first=${1:-20551} framing=${2:-lines} last=${3:-}

nodes=
trap 'kill $nodes 2>/dev/null || :; wait' EXIT
trap exit INT TERM
port=$first tenths=9 # each node waits a tenth of a second longer than the next
for name in ada bob cleo dan eve fay gil hana ivo jo; do
    next=tcp:127.0.0.1:$((port + 1))
    [ $name = jo ] && next=$last
    twistd -n tcplab --port "$port" \
        --behaviour "relay,name=$name,next=$next,framing=$framing,timeout=5.$tenths" &
    nodes="$nodes $!"
    port=$((port + 1)) tenths=$((tenths - 1))
done
wait
