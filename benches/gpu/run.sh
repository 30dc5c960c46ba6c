#!/bin/sh
# Correctness, benchmarks and comparison on a GPU host, in one call. Needs the driver; what
# else it finds it uses: compute-sanitizer for checks of memory and races, Python with
# PyTorch and transformers for the peers. What it can't do it says and records, and it goes
# on.
#
# The most valuable comes first, so that a host that is taken away early leaves something;
# the summary is written at the end however that comes.
#
#   ./run.sh [--steps NAME,NAME…] [--limit SECONDS] [--total SECONDS] [--dry-run] [FOLDER]
#
# FOLDER is for results. Steps, in their order:
#   alike      the whole model on CPU and GPU: logits, and a study's choices and answers
#   tests      every kernel against the CPU
#   one        benchmarks of a single sample, in one launch and in two
#   model      prefill, decoding and a whole grid of a 7B decoder, and the same in transformers
#   benches    all other benchmarks
#   peers      scoring in PyTorch
#   memcheck, racecheck   the tests under compute-sanitizer
# A limit is each step's, 900 seconds unless it says another; 0 is none. The total is that of
# all steps: what it leaves no time for is skipped. `--total 560` suits a call of ten minutes.
# A dry run shows which commands a host with everything would run, and their limits.
#
# A bundle that was made with --emulated brings a driver whose device is the host: then
# tests and benchmarks run there, on few cases, and no time means anything.
set -u
here=$(cd "$(dirname "$0")" && pwd)
all="alike tests one model benches peers memcheck racecheck"
chosen=$all
limit=900
total=0
is_dry=no
usage() {
    echo "run.sh: $1; usage: ./run.sh [--steps NAME,NAME] [--limit SECONDS] [--total SECONDS]" \
        "[--dry-run] [FOLDER]; steps: $all" >&2
    exit 2
}
seconds() { case "$2" in '' | *[!0-9]*) usage "$1 is '$2', not a number of seconds" ;; esac; }
while [ $# -gt 0 ]; do
    case "$1" in
    --steps | --limit | --total)
        [ $# -ge 2 ] || usage "$1 takes a value"
        case "$1" in
        --steps) chosen=$(printf '%s' "$2" | tr ',' ' ') ;;
        --limit) seconds "$1" "$2" && limit=$2 ;;
        --total) seconds "$1" "$2" && total=$2 ;;
        esac
        shift ;;
    --dry-run) is_dry=yes ;;
    -*) usage "unknown option $1" ;;
    *) break ;;
    esac
    shift
done
[ $# -le 1 ] || usage "one folder at most"
for name in $chosen; do
    case " $all " in *" $name "*) ;; *) usage "unknown step '$name'" ;; esac
done
out=${1:-$here/results}
begun=$(date +%s)
failed=0
python=${PYTHON:-$(command -v python3 || echo none)}
if [ "$is_dry" = no ]; then
    mkdir -p "$out" || exit 1
    steps="$out/steps.jsonl"
    : >"$steps"
fi

# step NAME STATUS NOTE: one line of the record.
step() {
    note=$(printf '%s' "$3" | tr '\n\t"\134' "  ''")
    printf '%-22s %-8s %s\n' "$1" "$2" "$note"
    [ "$is_dry" = no ] || return 0
    printf '{"step": "%s", "status": "%s", "note": "%s"}\n' "$1" "$2" "$note" >>"$steps"
    case "$2" in failed | timeout) failed=1 ;; esac
}

summary() {
    trap - EXIT INT TERM HUP
    if [ "$is_dry" = yes ]; then
        exit 0
    elif [ "$python" = none ]; then
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

# The seconds that a step may take now: its limit, or what the total leaves; 0 is no limit.
# Fails where less than ten are left.
time_left() {
    if [ "$total" -eq 0 ]; then
        echo "$limit"
        return 0
    fi
    left=$((total - $(date +%s) + begun))
    [ "$left" -ge 10 ] || return 1
    if [ "$limit" -gt 0 ] && [ "$limit" -lt "$left" ]; then echo "$limit"; else echo "$left"; fi
}

# Becomes a command that is ended when it takes longer than so many seconds: first so that it
# can still write, then for good.
limited() {
    most=$1
    shift
    if [ "$most" -gt 0 ] && command -v timeout >/dev/null 2>&1; then
        exec timeout -k 10 "$most" "$@"
    else
        exec "$@"
    fi
}

# try NAME COMMAND…: runs it with its output in a file. In the background, so that a signal
# to this script is heard at once.
try() {
    name=$1
    shift
    if ! most=$(time_left); then
        step "$name" skipped "no time left of $total s"
        return 0
    fi
    if [ "$is_dry" = yes ]; then
        step "$name" dry "limit $most s: $*"
        return 0
    fi
    log="$out/$name.log"
    start=$(date +%s)
    limited "$most" "$@" >"$log" 2>&1 &
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
    return 0
}

# The GPU, and what is missing for it.
has_gpu=no
reason="no GPU: nvidia-smi is missing or lists none"
if [ "$is_dry" = yes ]; then
    has_gpu=yes
elif [ -e "$here/lib/libcuda.so" ]; then
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
# the model's alone.
has_libraries=$has_gpu
said=
if [ "$is_dry" = yes ]; then :
elif "$here/bin/kernel-tests" --exact preflight::the_first_gpu --nocapture >"$out/preflight.log" 2>&1; then
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

# What Python has for the peers.
has_torch=no has_transformers=no
torch="no python3"
if [ "$is_dry" = yes ]; then
    has_torch=yes has_transformers=yes
elif [ "$has_gpu" != yes ]; then
    torch=$reason
elif [ "$python" != none ]; then
    if ! "$python" -c 'import torch' >"$out/torch.log" 2>&1; then
        torch="$python has no PyTorch: pip install torch"
    elif ! "$python" -c 'import torch; torch.zeros(1, device="cuda")' >"$out/torch.log" 2>&1; then
        torch="PyTorch of $python can't use the GPU: $(tail -n 1 "$out/torch.log")"
    else
        has_torch=yes
        "$python" -c 'import transformers' >>"$out/torch.log" 2>&1 && has_transformers=yes
        torch=$("$python" -c 'import torch; print("PyTorch", torch.__version__)')
    fi
    step torch "$([ "$has_torch" = yes ] && echo found || echo missing)" "$torch"
fi

finepruner="$here/bin/finepruner"
export FINEPRUNER="$finepruner"
# Whether the whole model can run here; else a step by this name is skipped.
has_model() {
    [ "$is_dry" = no ] || return 0
    if [ ! -x "$finepruner" ]; then step "$1" skipped "this bundle was made without finepruner"
    elif ! "$finepruner" --version >"$out/version.log" 2>&1; then
        step "$1" failed "finepruner doesn't start, see version.log"
    elif [ "$has_gpu" != yes ]; then step "$1" skipped "$reason"
    elif [ "$has_libraries" != yes ]; then step "$1" skipped "$said"
    else return 0
    fi
    return 1
}

# Both devices must compute, choose and answer alike.
if is_chosen alike && has_model alike; then
    [ "$is_dry" = yes ] || rm -rf "$out/study-cpu" "$out/study-cuda"
    for device in cpu cuda; do
        try "logits-$device" "$finepruner" generate --model "$here/assets/finepruner-tiny" \
            --image "$here/assets/benchmark/select/images/select-00000.png" --prompt "What shape is it?" --keep 42 \
            --max-new-tokens 8 --dtype f32 --device "$device" \
            --logits "$out/logits-$device.safetensors" --json
        try "study-$device" "$finepruner" study \
            --config "$here/configs/ablation_a_config.json" --dataset embedded:select \
            --limit 24 --no-report --device "$device" --dtype f32 --output "$out/study-$device"
    done
    if [ "$python" = none ]; then step alike skipped "no python3 to compare them"
    else try alike "$python" "$here/peers/gpu_study.py" "$out"
    fi
fi

if ! is_chosen tests; then :
elif [ "$has_gpu" = no ]; then step tests skipped "$reason"
else try tests "$here/bin/kernel-tests" --test-threads=1
fi

bench() { CRITERION_HOME="$out/criterion" try "$@"; }
if ! is_chosen one; then :
elif [ "$has_gpu" = yes ]; then
    bench bench-floor "$here/bin/kernel-bench" --bench floor
    bench bench-one "$here/bin/kernel-bench" --bench ' 1x32x576'
elif [ "$has_gpu" = emulated ]; then
    bench bench-floor "$here/bin/kernel-bench" --bench --quick floor
    bench bench-one "$here/bin/kernel-bench" --bench --quick ' 1x32x576'
else step one skipped "$reason"
fi

if is_chosen model && has_model model; then
    try model "$here/bin/model-timings" random:llava-1.5-7b cuda bf16 "$out/model.json"
    if [ "$has_torch" != yes ]; then step model-peers skipped "$torch"
    elif [ "$has_transformers" != yes ]; then
        step model-peers skipped "$python has no transformers: pip install transformers"
    else try model-peers "$python" "$here/peers/gpu_model.py" "$out/model-peers.json"
    fi
fi

if ! is_chosen benches; then :
elif [ "$has_gpu" = yes ]; then bench benchmarks "$here/bin/kernel-bench" --bench
elif [ "$has_gpu" = emulated ]; then bench benchmarks "$here/bin/kernel-bench" --bench --test
else step benches skipped "$reason"
fi

if ! is_chosen peers; then :
elif [ "$has_torch" != yes ]; then step peers skipped "$torch"
else try peers "$python" "$here/peers/gpu_select.py" "$out/peers.json"
fi

sanitizer=$(command -v compute-sanitizer)
for folder in /usr/local/cuda*/bin; do
    [ -n "$sanitizer" ] || [ ! -x "$folder/compute-sanitizer" ] || sanitizer=$folder/compute-sanitizer
done
[ "$is_dry" = no ] || sanitizer=${sanitizer:-compute-sanitizer}
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
