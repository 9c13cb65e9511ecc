#!/usr/bin/env bash
# Apache Kafka 4.3.1, peer and oracle: one broker with its controller on loopback, and Kafka's own tools.
#
#   kafka.sh jars                          fetch the jars, once
#   kafka.sh start DIR [PORT] [KEY=VALUE]  format DIR if needed, start on PORT (9092; controller on PORT + 1),
#                                          wait until it answers, print the process id
#   kafka.sh stop DIR                      end the broker that was started on DIR
#   kafka.sh tool CLASS [ARGUMENT...]      run a tool, for example org.apache.kafka.tools.TopicCommand
#
# KAFKA_LIBS names the folder of the jars; the default is kafka-4.3.1 in this repository's target folder.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
libs=${KAFKA_LIBS:-${CARGO_TARGET_DIR:-$here/../../target}/kafka-4.3.1}
small=(-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto -Xmx512m)

jars() {
  [ -e "$libs/complete" ] && return
  mvn -q -B -f "$here/pom.xml" dependency:copy-dependencies -DoutputDirectory="$libs" -DincludeScope=runtime
  touch "$libs/complete"
}

# Whether something on port $1 answers ApiVersions.
answers() {
  (
    exec 3<> "/dev/tcp/127.0.0.1/$1"
    printf '\0\0\0\x11\0\x12\0\0\0\0\0\x07\0\x07example' >&3
    [ "$(head -c 4 <&3 | wc -c)" = 4 ]
  ) 2> /dev/null
}

start() {
  local dir=$1 port=${2:-9092}
  shift; [ $# = 0 ] || shift
  if answers "$port"; then echo "port $port is taken" >&2; exit 1; fi
  mkdir -p "$dir"; dir=$(cd "$dir" && pwd)
  cat > "$dir/server.properties" <<P
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$((port + 1))
advertised.listeners=PLAINTEXT://127.0.0.1:$port
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
controller.quorum.bootstrap.servers=127.0.0.1:$((port + 1))
log.dirs=$dir/data
num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
P
  local setting
  for setting in "$@"; do echo "$setting" >> "$dir/server.properties"; done
  if [ ! -e "$dir/data/meta.properties" ]; then
    java "${small[@]}" -cp "$libs/*" kafka.tools.StorageTool format --standalone \
      -t "$(java "${small[@]}" -cp "$libs/*" kafka.tools.StorageTool random-uuid)" \
      -c "$dir/server.properties" > "$dir/format.log" 2>&1
  fi
  java -Xms1G -Xmx1G -server -XX:+UseG1GC -cp "$libs/*" kafka.Kafka "$dir/server.properties" \
    > "$dir/broker.log" 2>&1 &
  echo $! > "$dir/pid"
  for _ in $(seq 600); do
    if answers "$port"; then cat "$dir/pid"; return; fi
    kill -0 "$(cat "$dir/pid")" || { tail -n 20 "$dir/broker.log" >&2; exit 1; }
    sleep 0.1
  done
  echo "no answer on port $port within a minute; see $dir/broker.log" >&2
  exit 1
}

case "${1:-}" in
  jars) jars ;;
  start) jars; shift; start "$@" ;;
  stop) kill "$(cat "$2/pid")" ;;
  tool) jars; shift; exec java "${small[@]}" -cp "$libs/*" "$@" ;;
  *) sed -n '2,10p' "${BASH_SOURCE[0]}"; exit 2 ;;
esac
