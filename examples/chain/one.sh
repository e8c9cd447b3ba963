#!/bin/sh
# A message through ten nodes, all in one process.
#
#     $ sh one.sh
#     $ tcplab connect localhost:20551
#
# The nodes listen on ten ports in a row, the first of which may be given. So may the
# framing, and a program of yours behind the last node: sh one.sh 20551 stream tcp:localhost:8888
#
# Further options go to twistd: sh one.sh 20551 lines '' --fault refuse@relay-5 takes eve away.
set -eu
first=${1:-20551} framing=${2:-lines} last=${3:-}
if [ $# -gt 3 ]; then shift 3; else set --; fi

port=$first tenths=9 # each node waits a tenth of a second longer than the next
for name in ada bob cleo dan eve fay gil hana ivo jo; do
    next=tcp:127.0.0.1:$((port + 1))
    [ $name = jo ] && next=$last
    relay="relay,name=$name,next=$next,framing=$framing,timeout=5.$tenths"
    set -- "$@" --serve "$relay@tcp:$port:interface=127.0.0.1"
    port=$((port + 1)) tenths=$((tenths - 1))
done
exec twistd -n tcplab "$@"
