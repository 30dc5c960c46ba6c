#!/bin/sh
# Stands for nvcc where the tensor library is built for the emulation, which has none of its
# kernels: compiling fifty files that nothing may run would take a quarter of an hour. PTX
# has no kernels, and the library of what is called directly has functions that end the
# program with their name. What uses them is found when it runs.
set -eu

output='' folder=. kind=object sources=''
case "${1:-}" in
--version)
    printf 'nvcc: no compiler\n(for the emulation of a GPU)\n-\n'
    echo 'Cuda compilation tools, release 13.0, V13.0.0'
    exit ;;
--list-gpu-code) echo sm_80; exit ;;
esac
while [ $# -gt 0 ]; do
    case "$1" in
    --ptx) kind=ptx ;;
    --lib) kind=library ;;
    -o) output=$2; shift ;;
    --output-directory) folder=$2; shift ;;
    *.cu) sources="$sources $1" ;;
    esac
    shift
done

case $kind in
ptx)
    for source in $sources; do
        name=$(basename "$source" .cu)
        echo "// module $name" >"$folder/$name.ptx"
    done ;;
object) : >"$output" ;;
library)
    # The functions that the crate declares, which is the folder that this runs in.
    functions=$(sed -n 's/^ *pub fn \([a-z0-9_]*\)(.*/\1/p' src/ffi.rs)
    {
        echo '#include <stdio.h>'
        echo '#include <stdlib.h>'
        for function in $functions; do
            echo "void $function(void) {"
            echo "  fputs(\"the tensor library's own \`$function\` was called: the emulation doesn't have it\", stderr);"
            echo '  fputc(10, stderr);'
            echo '  abort();'
            echo '}'
        done
    } >"$output.c"
    cc -c -fPIC -o "$output.o" "$output.c"
    rm -f "$output"
    ar rcs "$output" "$output.o" ;;
esac
