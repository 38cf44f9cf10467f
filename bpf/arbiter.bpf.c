// The whole object: one translation unit, so that the concerns share maps, gate and verdict without a linker for BPF.
#include "kernel_types.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#include "files.bpf.c"
#include "exec.bpf.c"
#include "process.bpf.c"
#include "mounts.bpf.c"
#include "network.bpf.c"
#include "kernel.bpf.c"
#include "labels.bpf.c"
#include "digest.bpf.c"
#include "revoke.bpf.c"

// The helpers used (probe reads, ring buffers) are for GPL-compatible programs.
char LICENSE[] SEC("license") = "Dual MIT/GPL";
