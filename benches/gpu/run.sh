#!/bin/sh
# Correctness, benchmarks and comparison on a GPU host, in one go. Needs the driver; what
# else it finds it uses: compute-sanitizer for checks of memory and races, Python with
# PyTorch for the peers. What it can't do it says and records.
#
# A bundle that was made with --emulated brings a driver whose device is the host: then
# everything but sanitizer and peers runs there, on few cases, and no time means anything.
#
#   ./run.sh [FOLDER FOR RESULTS]
set -u
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/results}
mkdir -p "$out" || exit 1
steps="$out/steps.jsonl"
: >"$steps"
failed=0

# step NAME STATUS NOTE: one line of the record.
step() {
    note=$(printf '%s' "$3" | tr '\n\t"\\' "  ''")
    printf '{"step": "%s", "status": "%s", "note": "%s"}\n' "$1" "$2" "$note" >>"$steps"
    printf '%-34s %-8s %s\n' "$1" "$2" "$note"
    if [ "$2" = failed ]; then failed=1; fi
}

# try NAME COMMAND…: runs it with its output in a file.
try() {
    name=$1
    shift
    log="$out/$name.log"
    if "$@" >"$log" 2>&1; then
        step "$name" passed "$(grep -E '^test result' "$log" | head -n 1)"
    else
        step "$name" failed "see $name.log: $(tail -n 1 "$log")"
    fi
}

has_gpu=no
if [ -e "$here/lib/libcuda.so" ]; then
    has_gpu=emulated
    export LD_LIBRARY_PATH="$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
    echo "emulated on the host: no figure means anything" >"$out/gpu.csv"
    step gpu emulated "the host, by kernels/emulation"
elif command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L >"$out/gpus.txt" 2>&1; then
    has_gpu=yes
    nvidia-smi --query-gpu=name,driver_version,clocks.max.sm,power.limit --format=csv,noheader \
        >"$out/gpu.csv" 2>&1
    step gpu found "$(head -n 1 "$out/gpu.csv")"
else
    step gpu skipped "no GPU: nvidia-smi is missing or lists none"
fi

if [ "$has_gpu" != no ]; then
    try kernel-tests "$here/bin/kernel-tests" --test-threads=1
elif "$here/bin/kernel-tests" --test-threads=1 >"$out/kernel-tests.log" 2>&1; then
    step kernel-tests skipped "no GPU to check anything on; the binary starts"
else
    step kernel-tests failed "it doesn't even start, see kernel-tests.log"
fi

sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda*/bin/compute-sanitizer 2>/dev/null | head -n 1)
for tool in memcheck racecheck; do
    if [ "$has_gpu" != yes ]; then
        step "$tool" skipped "no GPU"
    elif [ -z "$sanitizer" ]; then
        step "$tool" skipped "compute-sanitizer is neither on PATH nor under /usr/local/cuda*/bin"
    else
        # A sanitizer slows kernels down by a factor of tens.
        try "$tool" env FINEPRUNER_FEW_CASES=1 "$sanitizer" --tool "$tool" --error-exitcode 9 \
            "$here/bin/kernel-tests" --test-threads=1
    fi
done

if [ -x "$here/bin/finepruner" ]; then
    try finepruner-starts "$here/bin/finepruner" --version
else
    step finepruner-starts skipped "this bundle was made without it"
fi

# A study on both devices must choose and answer alike.
study() {
    "$here/bin/finepruner" study --config "$here/configs/ablation_a_config.json" \
        --dataset embedded:select --limit 60 --no-report --device "$1" --output "$out/study-$1"
}
if [ "$has_gpu" != yes ] || [ ! -x "$here/bin/finepruner" ]; then
    step study skipped "no GPU, or no finepruner"
else
    rm -rf "$out/study-cpu" "$out/study-cuda"
    try study-cpu study cpu
    try study-cuda study cuda
fi

if [ "$has_gpu" = yes ]; then
    CRITERION_HOME="$out/criterion" try benchmarks "$here/bin/kernel-bench" --bench
elif [ "$has_gpu" = emulated ]; then
    try benchmarks "$here/bin/kernel-bench" --bench --test
    for part in floor 1x32x576; do
        CRITERION_HOME="$out/criterion" try "clock-$part" "$here/bin/kernel-bench" --bench --quick "$part"
    done
else
    step benchmarks skipped "no GPU"
fi

python=${PYTHON:-$(command -v python3 || echo none)}
if [ -f "$out/study-cuda/records.jsonl" ] && [ "$python" != none ]; then
    try study-alike "$python" "$here/peers/gpu_study.py" "$out/study-cpu" "$out/study-cuda"
fi

if [ "$python" = none ]; then
    step peers skipped "no python3"
elif ! "$python" -c 'import torch' >/dev/null 2>&1; then
    step peers skipped "$python has no PyTorch"
elif [ "$has_gpu" != yes ]; then
    step peers skipped "no GPU"
else
    try peers "$python" "$here/peers/gpu_select.py" "$out/peers.json"
fi

if [ "$python" = none ]; then
    step summary skipped "no python3: figures are in $out/criterion"
else
    "$python" "$here/peers/gpu_summary.py" "$out" || failed=1
fi
exit $failed
