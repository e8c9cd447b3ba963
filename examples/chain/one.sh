#!/bin/sh
# A message through ten nodes, all in one process.
#
#     $ sh one.sh
#     $ tcplab connect localhost:50551
#
# The nodes listen on ten ports in a row, the first of which may be given. The framing may be too,
# and a program of yours as the last link: sh one.sh 50551 stream tcp:localhost:8888
#
# What else is said goes to twistd: sh one.sh 50551 lines '' --fault refuse@relay-5 takes eve away.
set -eu
first=${1:-50551} framing=${2:-lines} last=${3:-}
if [ $# -gt 3 ]; then shift 3; else set --; fi

port=$first
for name in ada bob cleo dan eve fay gil hana ivo jo; do
    next=tcp:127.0.0.1:$((port + 1))
    [ $name = jo ] && next=$last
    set -- "$@" --serve "relay,name=$name,next=$next,framing=$framing@tcp:$port:interface=127.0.0.1"
    port=$((port + 1))
done
exec twistd -n tcplab "$@"
