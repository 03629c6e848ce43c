#!/usr/bin/env bash
# Tries a cluster on this machine: starts N nodes (default 3), writes through one and reads through another, kills the
# leader, and sees that the others go on with all that was written. Prints PASS or FAIL, removes what it made, and
# exits with 0 or 1.
#
#     ./test_cluster.sh [N]
set -euo pipefail
cd "$(dirname "$0")"
export PATH=$PWD/.venv/bin:$PATH

count=${1:-3}
[[ $count =~ ^[0-9]+$ ]] && ((count >= 3)) || { echo "usage: $0 [N], N of at least 3: fewer do not outlive a node" >&2; exit 1; }
command -v qcore >/dev/null || { echo "qcore is not installed: run make run once, or put it on the PATH" >&2; exit 1; }

folder=$(mktemp -d)
pids=()
result=FAIL

clean_up() {
    for pid in "${pids[@]}"; do kill -KILL "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    if [ $result = PASS ]; then rm -rf "$folder"; else echo "The nodes' logs are in $folder" >&2; fi
    echo $result
    [ $result = PASS ]
}
trap clean_up EXIT
trap 'exit 1' INT TERM

fail() {
    echo "$1" >&2
    exit 1
}

# Asks node $1; all that follows is one command.
ask() {
    local node=$1
    shift
    qcore-cli --url "ws://127.0.0.1:${ports[node]}" -c "$*"
}

# Runs a command until its output holds $2, for $1 seconds at the most.
until_says() {
    local end=$((SECONDS + $1)) wanted=$2
    shift 2
    until "$@" 2>/dev/null | grep -q -- "$wanted"; do
        ((SECONDS < end)) || fail "not within time: '$wanted' in the answer of: ${*:2}"
        sleep 0.2
    done
}

mapfile -t ports < <(python3 - "$count" <<'PORTS'
import socket, sys
sockets = [socket.socket() for _ in range(int(sys.argv[1]))]
for each in sockets:
    each.bind(("127.0.0.1", 0))
print(*(each.getsockname()[1] for each in sockets), sep="\n")
PORTS
)
peers=$(printf '127.0.0.1:%s,' "${ports[@]}")

echo "Starting $count nodes"
for ((node = 0; node < count; node++)); do
    qcore --id $((node + 1)) --ws-addr "127.0.0.1:${ports[node]}" --peers "${peers%,}" --auto-init --min-nodes "$count" \
        --config-file schemas.yaml --data-dir "$folder" 2>"$folder/node_$((node + 1)).log" &
    pids+=($!)
done
for ((node = 0; node < count; node++)); do
    until_says 60 'Current Leader: [0-9]' ask $node INFO
done

echo "Writing through node 1, reading through node $count"
created=$(ask 0 'CREATE User carol')
id=${created##* }
[[ $id =~ ^[0-9]+$ ]] || fail "CREATE said: $created"
ask 0 "SET $id Age 30" >/dev/null
[ "$(ask $((count - 1)) "GET $id Age")" = 30 ] || fail "node $count does not read what node 1 has written"

leader=$(ask 0 INFO | sed -n 's/^Current Leader: //p')
echo "Killing node $leader, which leads"
kill -KILL "${pids[leader - 1]}"
wait "${pids[leader - 1]}" 2>/dev/null || true
other=$((leader % count))
until_says 30 OK ask $other "SET $id Age 31"
for ((node = 0; node < count; node++)); do
    if ((node != leader - 1)); then
        [ "$(ask $node "GET $id Age")" = 31 ] || fail "node $((node + 1)) does not read what was written since"
        [ "$(ask $node "GET $id Name")" = '"carol"' ] || fail "node $((node + 1)) has lost what was written before"
    fi
done

echo "Starting node $leader again"
qcore --id "$leader" --ws-addr "127.0.0.1:${ports[leader - 1]}" --peers "${peers%,}" --data-dir "$folder" \
    2>>"$folder/node_$leader.log" &
pids+=($!)
until_says 30 '^31$' ask $((leader - 1)) "GET $id Age"
result=PASS
