#!/usr/bin/env bash
# A one-node Slurm cluster in a folder of its own, as root, for tests.
#   cluster.sh check          what is missing here, on one line; nothing if it can run
#   cluster.sh start FOLDER   then SLURM_CONF=FOLDER/slurm.conf for every command of Slurm
#   cluster.sh stop FOLDER
# Needs Debian's slurm-wlm and munge: apt-get install --no-install-recommends slurm-wlm munge.
set -euo pipefail

check() {
    [ "$(id -u)" = 0 ] || { echo "a Slurm of one's own needs root"; return; }
    for program in munged slurmctld slurmd sbatch squeue scontrol sinfo; do
        command -v "$program" >/dev/null || {
            echo "$program isn't installed (Debian: slurm-wlm and munge)"
            return
        }
    done
}

# A free port.
free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

start() {
    local folder=$1 host controller daemon
    host=$(hostname -s)
    mkdir -p "$folder"/{state,spool,log,run}
    chmod 755 "$folder" "$folder/run"
    if [ ! -f "$folder/munge.key" ]; then
        dd if=/dev/urandom of="$folder/munge.key" bs=1 count=1024 2>/dev/null
        chmod 400 "$folder/munge.key"
    fi
    munged --socket="$folder/run/munge.sock" --key-file="$folder/munge.key" \
        --pid-file="$folder/run/munged.pid" --log-file="$folder/log/munged.log" \
        --seed-file="$folder/run/seed" --force
    controller=$(free_port)
    daemon=$(free_port)
    # Several tasks share few processors: the test needs many tasks, not speed.
    cat > "$folder/slurm.conf" <<CONF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CryptoType=crypto/munge
AuthInfo=socket=$folder/run/munge.sock
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/run/slurmctld.pid
SlurmdPidFile=$folder/run/slurmd.pid
SlurmctldLogFile=$folder/log/slurmctld.log
SlurmdLogFile=$folder/log/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
SlurmctldPort=$controller
SlurmdPort=$daemon
SlurmdParameters=config_overrides
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
KillWait=5
OverTimeLimit=0
SchedulerParameters=sched_interval=1,bf_interval=1
NodeName=$host NodeAddr=127.0.0.1 CPUs=4 RealMemory=4000 State=UNKNOWN
PartitionName=debug Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
    export SLURM_CONF=$folder/slurm.conf
    slurmctld -c
    slurmd
    for _ in $(seq 60); do
        if [ "$(sinfo --noheader --format=%T 2>/dev/null)" = idle ]; then
            return
        fi
        sleep 0.5
    done
    echo "the node doesn't come up" >&2
    tail -n 20 "$folder/log/slurmctld.log" "$folder/log/slurmd.log" >&2
    stop "$folder"
    return 1
}

stop() {
    local folder=$1 program pid
    for program in slurmd slurmctld munged; do
        if [ -f "$folder/run/$program.pid" ]; then
            pid=$(cat "$folder/run/$program.pid")
            kill "$pid" 2>/dev/null || true
            for _ in $(seq 50); do
                kill -0 "$pid" 2>/dev/null || break
                sleep 0.1
            done
        fi
    done
}

case ${1:-} in
check) check ;;
start) start "$(realpath -m "$2")" ;;
stop) stop "$(realpath -m "$2")" ;;
*)
    echo "usage: cluster.sh check | start FOLDER | stop FOLDER" >&2
    exit 2
    ;;
esac
