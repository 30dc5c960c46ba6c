#!/usr/bin/env bash
# Around rustc: makes cudarc load CUDA's libraries when they are first called, which the
# tensor library fixes otherwise. As a flag of all crates it would rebuild each of them.
# Not sh: dash drops variables such as CARGO_BIN_EXE_fp-fuzz from the environment.
rustc=$1
shift
case " $* " in
*" --crate-name cudarc "*) exec "$rustc" "$@" --cfg 'feature="dynamic-loading"' ;;
*) exec "$rustc" "$@" ;;
esac
