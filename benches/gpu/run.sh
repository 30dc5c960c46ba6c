#!/bin/sh
# Correctness, benchmarks and comparison on a GPU host, in one go. Needs the driver; what
# else it finds it uses: compute-sanitizer for checks of memory and races, Python with
# PyTorch for the peers. What it can't do it says and records, and it goes on.
#
# The most valuable comes first, so that a host that is taken away early leaves something;
# the summary is written at the end however that comes.
#
# A bundle that was made with --emulated brings a driver whose device is the host: then
# everything but sanitizers, study and peers runs there, on few cases, and no time means
# anything.
#
#   ./run.sh [--steps NAME,NAME…] [--limit SECONDS] [FOLDER FOR RESULTS]
#
# Steps, in their order: tests, one (benchmarks of a single sample, one launch and two),
# study (on CPU and GPU), benches (all others), peers, memcheck, racecheck. A limit is each
# step's, 900 seconds unless it says another; 0 is none.
set -u
here=$(cd "$(dirname "$0")" && pwd)
all="tests one study benches peers memcheck racecheck"
chosen=$all
limit=900
usage() {
    echo "run.sh: $1; usage: ./run.sh [--steps NAME,NAME] [--limit SECONDS] [FOLDER]; steps: $all" >&2
    exit 2
}
while [ $# -gt 0 ]; do
    case "$1" in
    --steps)
        [ $# -ge 2 ] || usage "--steps takes names"
        chosen=$(printf '%s' "$2" | tr ',' ' ')
        shift ;;
    --limit)
        [ $# -ge 2 ] || usage "--limit takes seconds"
        limit=$2
        shift ;;
    -*) usage "unknown option $1" ;;
    *) break ;;
    esac
    shift
done
case "$limit" in '' | *[!0-9]*) usage "the limit is '$limit'" ;; esac
for name in $chosen; do
    case " $all " in *" $name "*) ;; *) usage "unknown step '$name'" ;; esac
done
out=${1:-$here/results}
mkdir -p "$out" || exit 1
steps="$out/steps.jsonl"
: >"$steps"
failed=0
python=${PYTHON:-$(command -v python3 || echo none)}

# step NAME STATUS NOTE: one line of the record.
step() {
    note=$(printf '%s' "$3" | tr '\n\t"\\' "  ''")
    printf '{"step": "%s", "status": "%s", "note": "%s"}\n' "$1" "$2" "$note" >>"$steps"
    printf '%-22s %-8s %s\n' "$1" "$2" "$note"
    case "$2" in failed | timeout) failed=1 ;; esac
}

summary() {
    trap - EXIT INT TERM HUP
    if [ "$python" = none ]; then
        step summary skipped "no python3: figures are in $out/criterion"
    else
        "$python" "$here/peers/gpu_summary.py" "$out" || failed=1
    fi
    exit $failed
}
child=
interrupted() {
    [ -z "$child" ] || kill "$child" 2>/dev/null
    step run failed "interrupted"
    summary
}
trap interrupted INT TERM HUP
trap summary EXIT

is_chosen() { case " $chosen " in *" $1 "*) true ;; *) false ;; esac; }

# Becomes a command that is ended when it takes longer than the limit: first so that it can
# still write, then for good.
limited() {
    if [ "$limit" -gt 0 ] && command -v timeout >/dev/null 2>&1; then
        exec timeout -k 20 "$limit" "$@"
    else
        exec "$@"
    fi
}

# try NAME COMMAND…: runs it with its output in a file. In the background, so that a signal
# to this script is heard at once.
try() {
    name=$1
    shift
    log="$out/$name.log"
    start=$(date +%s)
    limited "$@" >"$log" 2>&1 &
    child=$!
    wait "$child"
    status=$?
    child=
    took="$(($(date +%s) - start)) s"
    case $status in
    0) step "$name" passed "$took $(grep -E '^test result' "$log" | head -n 1)" ;;
    124 | 137) step "$name" timeout "ended after $took, see $name.log" ;;
    *) step "$name" failed "$took, status $status, see $name.log: $(tail -n 1 "$log")" ;;
    esac
}

# The GPU, and what is missing for it.
has_gpu=no
reason="no GPU: nvidia-smi is missing or lists none"
if [ -e "$here/lib/libcuda.so" ]; then
    has_gpu=emulated
    reason="the device is the host"
    export LD_LIBRARY_PATH="$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
    echo "emulated on the host: no figure means anything" >"$out/gpu.csv"
    step gpu emulated "the host, by kernels/emulation"
elif command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L >"$out/gpus.txt" 2>&1; then
    has_gpu=yes
    nvidia-smi --query-gpu=name,driver_version,compute_cap,memory.free,clocks.max.sm,power.limit \
        --format=csv,noheader >"$out/gpu.csv" 2>&1
    step gpu found "$(head -n 1 "$out/gpu.csv")"
else
    step gpu skipped "$reason"
fi

# Says in one sentence what the GPU, its driver or its libraries lack; cuBLAS and cuRAND are
# the study's alone.
has_libraries=$has_gpu
if "$here/bin/kernel-tests" --exact preflight::the_first_gpu --nocapture >"$out/preflight.log" 2>&1; then
    said=$(sed -n 's/^.*preflight: //p' "$out/preflight.log" | head -n 1)
    case "$said" in
    usable*) step preflight passed "$said" ;;
    *cuBLAS* | *cuRAND*) has_libraries=no; step preflight missing "$said" ;;
    *) has_gpu=no has_libraries=no; reason=$said; step preflight missing "$said" ;;
    esac
else
    has_gpu=no has_libraries=no
    reason="the tests don't even start, see preflight.log"
    step preflight failed "$reason"
fi

if ! is_chosen tests; then :
elif [ "$has_gpu" = no ]; then step tests skipped "$reason"
else try tests "$here/bin/kernel-tests" --test-threads=1; fi

bench() { CRITERION_HOME="$out/criterion" try "$@"; }
if ! is_chosen one; then :
elif [ "$has_gpu" = yes ]; then
    bench bench-floor "$here/bin/kernel-bench" --bench floor
    bench bench-one "$here/bin/kernel-bench" --bench ' 1x32x576'
elif [ "$has_gpu" = emulated ]; then
    bench bench-floor "$here/bin/kernel-bench" --bench --quick floor
    bench bench-one "$here/bin/kernel-bench" --bench --quick ' 1x32x576'
else step one skipped "$reason"; fi

# A study on both devices must choose and answer alike.
if ! is_chosen study; then :
elif [ ! -x "$here/bin/finepruner" ]; then step study skipped "this bundle was made without finepruner"
elif ! "$here/bin/finepruner" --version >"$out/version.log" 2>&1; then
    step study failed "finepruner doesn't start, see version.log"
elif [ "$has_gpu" != yes ]; then step study skipped "$reason"
elif [ "$has_libraries" != yes ]; then step study skipped "$said"
else
    rm -rf "$out/study-cpu" "$out/study-cuda"
    for device in cuda cpu; do
        try "study-$device" "$here/bin/finepruner" study \
            --config "$here/configs/ablation_a_config.json" --dataset embedded:select \
            --limit 60 --no-report --device "$device" --output "$out/study-$device"
    done
    if [ -f "$out/study-cuda/records.jsonl" ] && [ -f "$out/study-cpu/records.jsonl" ] &&
        [ "$python" != none ]; then
        try study-alike "$python" "$here/peers/gpu_study.py" "$out/study-cpu" "$out/study-cuda"
    fi
fi

if ! is_chosen benches; then :
elif [ "$has_gpu" = yes ]; then bench benchmarks "$here/bin/kernel-bench" --bench
elif [ "$has_gpu" = emulated ]; then bench benchmarks "$here/bin/kernel-bench" --bench --test
else step benches skipped "$reason"; fi

if ! is_chosen peers; then :
elif [ "$has_gpu" != yes ]; then step peers skipped "$reason"
elif [ "$python" = none ]; then step peers skipped "no python3"
elif ! "$python" -c 'import torch' >"$out/torch.log" 2>&1; then
    step peers skipped "$python has no PyTorch: pip install torch"
elif ! "$python" -c 'import torch; torch.zeros(1, device="cuda")' >"$out/torch.log" 2>&1; then
    step peers skipped "PyTorch of $python can't use the GPU: $(tail -n 1 "$out/torch.log")"
else try peers "$python" "$here/peers/gpu_select.py" "$out/peers.json"; fi

sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda*/bin/compute-sanitizer 2>/dev/null | head -n 1)
for tool in memcheck racecheck; do
    if ! is_chosen "$tool"; then :
    elif [ "$has_gpu" != yes ]; then step "$tool" skipped "$reason"
    elif [ -z "$sanitizer" ]; then
        step "$tool" skipped "compute-sanitizer is neither on PATH nor under /usr/local/cuda*/bin"
    else
        # A sanitizer slows kernels down by a factor of tens.
        try "$tool" env FINEPRUNER_FEW_CASES=1 "$sanitizer" --tool "$tool" --error-exitcode 9 \
            "$here/bin/kernel-tests" --test-threads=1
    fi
done
