/*
 * Whether this kernel lets an LSM program in: the one answer no file gives. Some kernels list `bpf` among their
 * security modules and refuse every program of that type.
 *
 * The type number of the hook is looked up in the kernel's own type information (Documentation/bpf/btf.rst), by hand:
 * a look that only `mis doctor` takes needs no library.
 */
#define _GNU_SOURCE
#include "clinux_machine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/btf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The bytes that follow a type of this kind, or -1 for a kind unknown here. */
static long extra_size(unsigned kind, unsigned members) {
    switch (kind) {
    case BTF_KIND_INT:
    case BTF_KIND_VAR:
    case BTF_KIND_DECL_TAG:
        return 4;
    case BTF_KIND_ARRAY:
        return 12;
    case BTF_KIND_STRUCT:
    case BTF_KIND_UNION:
    case BTF_KIND_DATASEC:
    case BTF_KIND_ENUM64:
        return 12l * members;
    case BTF_KIND_ENUM:
    case BTF_KIND_FUNC_PROTO:
        return 8l * members;
    default:
        return kind <= BTF_KIND_ENUM64 ? 0 : -1;
    }
}

/* The type number of function `name`, or 0. */
static uint32_t function_type(const unsigned char *data, size_t size, const char *name) {
    struct btf_header header;
    if (size < sizeof header)
        return 0;
    memcpy(&header, data, sizeof header);
    if (header.magic != BTF_MAGIC || header.hdr_len > size || header.type_off > size - header.hdr_len ||
        header.str_off > size - header.hdr_len)
        return 0;
    const unsigned char *types = data + header.hdr_len + header.type_off;
    const char *strings = (const char *)data + header.hdr_len + header.str_off;
    size_t types_size = size - header.hdr_len - header.type_off, strings_size = size - header.hdr_len - header.str_off;
    if (header.type_len < types_size)
        types_size = header.type_len;
    uint32_t number = 1;
    for (size_t at = 0; types_size - at >= sizeof(struct btf_type); number++) {
        struct btf_type type;
        memcpy(&type, types + at, sizeof type);
        if (BTF_INFO_KIND(type.info) == BTF_KIND_FUNC && type.name_off < strings_size &&
            strncmp(strings + type.name_off, name, strings_size - type.name_off) == 0)
            return number;
        long extra = extra_size(BTF_INFO_KIND(type.info), BTF_INFO_VLEN(type.info));
        if (extra < 0 || (size_t)extra > types_size - at - sizeof type)
            return 0;
        at += sizeof type + (size_t)extra;
    }
    return 0;
}

static uint32_t kernel_function_type(const char *name) {
    int fd = open("/sys/kernel/btf/vmlinux", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    struct stat status;
    unsigned char *data = NULL;
    size_t size = 0, filled = 0;
    if (fstat(fd, &status) == 0 && status.st_size > 0) {
        size = (size_t)status.st_size;
        data = malloc(size);
    }
    while (data && filled < size) {
        ssize_t count = read(fd, data + filled, size - filled);
        if (count <= 0)
            break;
        filled += (size_t)count;
    }
    close(fd);
    uint32_t number = data ? function_type(data, filled, name) : 0;
    free(data);
    return number;
}

int clinux_try_lsm_program(void) {
    uint32_t hook = kernel_function_type("bpf_lsm_file_open");
    if (hook == 0) {
        errno = ENOENT;
        return -1;
    }
    /* r0 = 0; exit */
    struct bpf_insn program[2] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
                                  {.code = BPF_JMP | BPF_EXIT}};
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.prog_type = BPF_PROG_TYPE_LSM;
    attributes.expected_attach_type = BPF_LSM_MAC;
    attributes.attach_btf_id = hook;
    attributes.insns = (uint64_t)(uintptr_t)program;
    attributes.insn_cnt = 2;
    attributes.license = (uint64_t)(uintptr_t) "GPL";
    int fd = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof attributes);
    if (fd < 0)
        return -1;
    close(fd);
    return 0;
}
