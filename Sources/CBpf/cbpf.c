#define _GNU_SOURCE
#include "cbpf.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int cbpf_pinned(const char *path) {
    return bpf_obj_get(path);
}

int cbpf_pinned_below(int folder, const char *name) {
    // The headers at hand end before the last field and the flag, which came with kernel 6.5.
    struct {
        uint64_t name;
        uint32_t unused, flags;
        int32_t folder;
        uint32_t rest;
    } wanted = {.name = (uintptr_t)name, .flags = 1U << 14, .folder = folder};
    return (int)syscall(SYS_bpf, BPF_OBJ_GET, &wanted, sizeof(wanted));
}

int cbpf_map_shape(int map, struct cbpf_map_shape *shape) {
    struct bpf_map_info info = {};
    uint32_t length = sizeof(info);
    if (bpf_obj_get_info_by_fd(map, &info, &length) != 0)
        return -1;
    *shape = (struct cbpf_map_shape){info.type, info.key_size, info.value_size, info.max_entries};
    return 0;
}

uint32_t cbpf_link_program(int link) {
    struct bpf_link_info info = {};
    uint32_t length = sizeof(info);
    return bpf_obj_get_info_by_fd(link, &info, &length) == 0 ? info.prog_id : 0;
}

int cbpf_map_get(int map, const void *key, void *value) {
    return bpf_map_lookup_elem(map, key, value) ? -1 : 0;
}

int cbpf_map_put(int map, const void *key, const void *value) {
    return bpf_map_update_elem(map, key, value, BPF_ANY) ? -1 : 0;
}

int cbpf_map_add(int map, const void *key, const void *value) {
    return bpf_map_update_elem(map, key, value, BPF_NOEXIST) ? -1 : 0;
}

int cbpf_map_remove(int map, const void *key) {
    return bpf_map_delete_elem(map, key) ? -1 : 0;
}

int cbpf_map_put_all(int map, const void *keys, const void *values, uint32_t count) {
    LIBBPF_OPTS(bpf_map_batch_opts, options);
    return count && bpf_map_update_batch(map, keys, values, &count, &options) ? -1 : 0;
}

int cbpf_map_remove_all(int map, const void *keys, uint32_t key_size, uint32_t count) {
    LIBBPF_OPTS(bpf_map_batch_opts, options);
    // It stops at a key that is not there, and says how many it has removed.
    for (uint32_t at = 0; at < count; at++) {
        uint32_t some = count - at;
        if (bpf_map_delete_batch(map, (const char *)keys + (size_t)at * key_size, &some, &options) == 0)
            return 0;
        if (errno != ENOENT)
            return -1;
        at += some;
    }
    return 0;
}

int cbpf_map_some(int map, uint8_t place[CBPF_PLACE], int first, void *keys, void *values, uint32_t *count) {
    LIBBPF_OPTS(bpf_map_batch_opts, options);
    uint8_t next[CBPF_PLACE] = {};
    if (bpf_map_lookup_batch(map, first ? NULL : place, next, keys, values, count, &options) == 0) {
        memcpy(place, next, sizeof(next));
        return 1;
    }
    return errno == ENOENT ? 0 : -1;
}

int cbpf_map_inner(int outer, uint32_t index) {
    uint32_t id = 0;
    return bpf_map_lookup_elem(outer, &index, &id) ? -1 : bpf_map_get_fd_by_id(id);
}

int cbpf_processors(void) {
    return libbpf_num_possible_cpus();
}

int cbpf_random(void *bytes, size_t size) {
    return getrandom(bytes, size, 0) == (ssize_t)size ? 0 : -1;
}

int cbpf_lock(int file) {
    return flock(file, LOCK_EX);
}

int cbpf_list_objects(int program, uint32_t pid, struct arbiter_object *found, int room) {
    union bpf_iter_link_info which = {.task = {.pid = pid}};
    LIBBPF_OPTS(bpf_link_create_opts, options, .iter_info = &which, .iter_info_len = sizeof(which));
    int link = bpf_link_create(program, 0, BPF_TRACE_ITER, &options);
    if (link < 0)
        return -1;
    int walk = bpf_iter_create(link), error = errno;
    close(link);
    errno = error;
    if (walk < 0)
        return -1;
    struct arbiter_object beyond[64];
    size_t filled = 0, size = (size_t)room * sizeof(*found);
    ssize_t got;
    do {
        // What there is no room for is counted only.
        got = filled < size ? read(walk, (char *)found + filled, size - filled) : read(walk, beyond, sizeof(beyond));
        filled += got > 0 ? (size_t)got : 0;
    } while (got > 0 || (got < 0 && errno == EINTR));
    error = got < 0 ? errno : 0;
    close(walk);
    errno = error;
    return error ? -1 : (int)(filled / sizeof(*found));
}

int cbpf_list_mapped(int program, uint32_t (*found)[2], int room) {
    LIBBPF_OPTS(bpf_link_create_opts, options);
    int link = bpf_link_create(program, 0, BPF_TRACE_ITER, &options);
    if (link < 0)
        return -1;
    int walk = bpf_iter_create(link), error = errno, count = 0;
    close(link);
    errno = error;
    if (walk < 0)
        return -1;
    uint32_t pairs[128][2];
    size_t filled = 0;
    ssize_t got;
    while ((got = read(walk, (char *)pairs + filled, sizeof(pairs) - filled)) > 0 || (got < 0 && errno == EINTR)) {
        filled += got > 0 ? (size_t)got : 0;
        size_t whole = filled / sizeof(pairs[0]);
        for (size_t i = 0; i < whole; i++, count++)
            if (count < room)
                memcpy(found[count], pairs[i], sizeof(pairs[i]));
        memmove(pairs, pairs + whole, filled -= whole * sizeof(pairs[0]));
    }
    error = got < 0 ? errno : 0;
    close(walk);
    errno = error;
    return error ? -1 : count;
}

int cbpf_ask_policy(int program, struct arbiter_question *question) {
    // A program of this kind answers in the context it was given.
    LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = question, .ctx_size_in = sizeof(*question));
    int error = bpf_prog_test_run_opts(program, &options);
    if (error == 0 && (int)options.retval < 0)
        error = (int)options.retval;
    if (error) {
        errno = -error;
        return -1;
    }
    return 0;
}

// The call itself: libbpf's has the kernel verify two programs before, to find out what kernels of years ago can.
static int map_make(uint32_t type, const char *name, uint32_t key, uint32_t value, uint32_t entries, uint32_t flags) {
    union bpf_attr wanted = {
        .map_type = type, .key_size = key, .value_size = value, .max_entries = entries, .map_flags = flags};
    snprintf(wanted.map_name, sizeof(wanted.map_name), "%s", name);
    return (int)syscall(SYS_bpf, BPF_MAP_CREATE, &wanted, sizeof(wanted));
}

int cbpf_bits_make(const char *name, const void *bits, uint32_t bytes) {
    int map = map_make(BPF_MAP_TYPE_ARRAY, name, sizeof(uint32_t), bytes, 1, BPF_F_MMAPABLE);
    if (map < 0)
        return -1;
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, map, 0);
    if (memory == MAP_FAILED) {
        int error = errno;
        close(map);
        errno = error;
        return -1;
    }
    memcpy(memory, bits, bytes);
    munmap(memory, bytes);
    return map;
}

int cbpf_keys_make(const char *name, const void *keys, uint32_t count) {
    int map = map_make(BPF_MAP_TYPE_HASH, name, 16, sizeof(uint32_t), count ? count : 1, 0);
    uint32_t numbers[4096];
    for (uint32_t at = 0; map >= 0 && at < count;) {
        uint32_t some = count - at < 4096 ? count - at : 4096;
        for (uint32_t i = 0; i < some; i++)
            numbers[i] = at + i;
        LIBBPF_OPTS(bpf_map_batch_opts, options);
        if (bpf_map_update_batch(map, (const char *)keys + 16UL * at, numbers, &some, &options) != 0) {
            int error = errno;
            close(map);
            errno = error;
            return -1;
        }
        at += some;
    }
    return map;
}

int cbpf_attach(int program) {
    return bpf_raw_tracepoint_open(NULL, program);
}

int cbpf_pin(int object, const char *path) {
    return bpf_obj_pin(object, path) ? -1 : 0;
}

int cbpf_ring_make(const char *name, uint32_t bytes) {
    return map_make(BPF_MAP_TYPE_RINGBUF, name, 0, 0, bytes, 0);
}

// Layout and protocol: kernel/bpf/ringbuf.c. One page the reader writes (how far it has read), then pages only the
// kernel writes: how far it has written, and the data, mapped twice in a row so that a record never wraps.
int cbpf_ring_open(int map, uint32_t bytes, struct cbpf_ring *ring) {
    long page = sysconf(_SC_PAGESIZE);
    void *mine = mmap(NULL, (size_t)page, PROT_READ | PROT_WRITE, MAP_SHARED, map, 0);
    if (mine == MAP_FAILED)
        return -1;
    void *theirs = mmap(NULL, (size_t)page + 2UL * bytes, PROT_READ, MAP_SHARED, map, page);
    if (theirs == MAP_FAILED) {
        int error = errno;
        munmap(mine, (size_t)page);
        errno = error;
        return -1;
    }
    *ring = (struct cbpf_ring){
        .map = map, .mask = bytes - 1, .consumed = mine, .produced = theirs, .data = (const uint8_t *)theirs + page};
    ring->position = __atomic_load_n(ring->consumed, __ATOMIC_ACQUIRE);
    return 0;
}

#define RECORD_BUSY (1U << 31)
#define RECORD_DISCARDED (1U << 30)
#define RECORD_HEADER 8

const struct arbiter_event *cbpf_ring_next(struct cbpf_ring *ring) {
    if (ring->retired)
        return NULL;
    uint64_t end = __atomic_load_n(ring->produced, __ATOMIC_ACQUIRE);
    while (ring->position < end) {
        const uint8_t *header = ring->data + (ring->position & ring->mask);
        uint32_t length = __atomic_load_n((const uint32_t *)header, __ATOMIC_ACQUIRE);
        // Reserved, not yet written: it and what follows come next time.
        if (length & RECORD_BUSY)
            return NULL;
        uint32_t size = length & ~(RECORD_BUSY | RECORD_DISCARDED);
        ring->position += (size + RECORD_HEADER + 7) / 8 * 8;
        if (!(length & RECORD_DISCARDED) && size >= sizeof(struct arbiter_event))
            return (const struct arbiter_event *)(header + RECORD_HEADER);
        __atomic_store_n(ring->consumed, ring->position, __ATOMIC_RELEASE);
    }
    return NULL;
}

void cbpf_ring_release(struct cbpf_ring *ring) {
    __atomic_store_n(ring->consumed, ring->position, __ATOMIC_RELEASE);
}

void cbpf_ring_skip(struct cbpf_ring *ring) {
    ring->position = __atomic_load_n(ring->produced, __ATOMIC_ACQUIRE);
    cbpf_ring_release(ring);
}

void cbpf_ring_close(struct cbpf_ring *ring) {
    long page = sysconf(_SC_PAGESIZE);
    if (ring->consumed)
        munmap(ring->consumed, (size_t)page);
    if (ring->produced)
        munmap((void *)ring->produced, (size_t)page + 2UL * (ring->mask + 1UL));
    *ring = (struct cbpf_ring){.map = -1};
}

static size_t pages(size_t size) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (size + page - 1) / page * page;
}

static void *mapped(int map, size_t size) {
    void *memory = mmap(NULL, pages(size), PROT_READ | PROT_WRITE, MAP_SHARED, map, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

struct arbiter_registry *cbpf_registry(int map) {
    return mapped(map, sizeof(struct arbiter_registry));
}

struct arbiter_tree *cbpf_tree(int map) {
    return mapped(map, sizeof(struct arbiter_tree));
}

void cbpf_registry_mark(struct arbiter_registry *registry, uint64_t cgroup) {
    __atomic_fetch_or(&registry->filter[cgroup >> 6 & (ARBITER_FILTER_WORDS - 1)], 1ULL << (cgroup & 63),
                      __ATOMIC_SEQ_CST);
}

void cbpf_registry_clear(struct arbiter_registry *registry) {
    for (int i = 0; i < ARBITER_FILTER_WORDS; i++)
        __atomic_store_n(&registry->filter[i], 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&registry->crowded, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&registry->nested, 0, __ATOMIC_SEQ_CST);
}

void cbpf_registry_count(struct arbiter_registry *registry, uint32_t sandboxes) {
    __atomic_store_n(&registry->sandboxes, sandboxes, __ATOMIC_SEQ_CST);
}

uint32_t cbpf_registry_revoked(struct arbiter_registry *registry, int by) {
    return __atomic_add_fetch(&registry->revoked, (uint32_t)by, __ATOMIC_SEQ_CST);
}

void cbpf_tree_tick(struct arbiter_tree *tree) {
    struct timespec monotonic = {}, boot = {}, wall = {};
    clock_gettime(CLOCK_MONOTONIC, &monotonic);
    clock_gettime(CLOCK_BOOTTIME, &boot);
    clock_gettime(CLOCK_REALTIME, &wall);
    uint64_t offset =
        (uint64_t)(wall.tv_sec - boot.tv_sec) * 1000000000 + (uint64_t)wall.tv_nsec - (uint64_t)boot.tv_nsec;
    __atomic_store_n(&tree->now, (uint64_t)monotonic.tv_sec, __ATOMIC_RELAXED);
    __atomic_store_n(&tree->wall_offset, offset, __ATOMIC_RELAXED);
}

struct arbiter_sandbox *cbpf_sandboxes(int map) {
    return mapped(map, ARBITER_SANDBOXES * sizeof(struct arbiter_sandbox));
}

void cbpf_sandboxes_unmap(struct arbiter_sandbox *sandboxes) {
    munmap(sandboxes, pages(ARBITER_SANDBOXES * sizeof(struct arbiter_sandbox)));
}

void cbpf_sandbox_enter(struct arbiter_sandbox *place, const struct arbiter_sandbox *sandbox) {
    struct arbiter_sandbox first = *sandbox;
    first.state = ARBITER_FREE;
    *place = first;
    // Last: a place is somebody's when everything about it is there.
    __atomic_store_n(&place->state, sandbox->state, __ATOMIC_SEQ_CST);
}

void cbpf_sandbox_names(struct arbiter_sandbox *sandbox, uint64_t lengths) {
    __atomic_store_n(&sandbox->name_lengths, lengths, __ATOMIC_SEQ_CST);
}

void cbpf_sandbox_going(struct arbiter_sandbox *sandbox) {
    __atomic_store_n(&sandbox->gone, 1, __ATOMIC_SEQ_CST);
}

void cbpf_sandbox_free(struct arbiter_sandbox *sandbox) {
    struct arbiter_sandbox nobody = {.state = sandbox->state, .gone = 1};
    *sandbox = nobody;
    __atomic_store_n(&sandbox->state, ARBITER_FREE, __ATOMIC_SEQ_CST);
}

void cbpf_sandbox_level(struct arbiter_sandbox *sandbox, uint32_t level) {
    __atomic_store_n(&sandbox->level, level, __ATOMIC_SEQ_CST);
}

void cbpf_sandbox_flags(struct arbiter_sandbox *sandbox, uint32_t flags, uint32_t kept) {
    uint32_t now = __atomic_load_n(&sandbox->flags, __ATOMIC_SEQ_CST), next;
    do {
        next = (flags & ~kept) | (now & kept);
    } while (!__atomic_compare_exchange_n(&sandbox->flags, &now, next, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
}

uint32_t cbpf_sandbox_add_flags(struct arbiter_sandbox *sandbox, uint32_t flags) {
    return __atomic_fetch_or(&sandbox->flags, flags, __ATOMIC_SEQ_CST);
}

void cbpf_sandbox_policy(struct arbiter_sandbox *sandbox, uint32_t policy) {
    uint32_t changes = (sandbox->policy | ARBITER_POLICY_NUMBER) + 1;
    __atomic_store_n(&sandbox->policy, changes | (policy & ARBITER_POLICY_NUMBER), __ATOMIC_SEQ_CST);
}

const char *cbpf_registry_link(const struct arbiter_registry *registry, uint32_t index) {
    if (index >= ARBITER_LINKS || index >= registry->links)
        return NULL;
    const char *name = registry->link[index];
    return memchr(name, 0, ARBITER_LINK_BYTES) ? name : NULL;
}

uint32_t cbpf_registry_program(const struct arbiter_registry *registry, uint32_t index) {
    return index < ARBITER_LINKS ? registry->program[index] : 0;
}

void cbpf_tree_changed(struct arbiter_tree *tree) {
    __atomic_fetch_add(&tree->generation, 1, __ATOMIC_SEQ_CST);
}

void cbpf_registry_unmap(struct arbiter_registry *registry) {
    munmap(registry, pages(sizeof(*registry)));
}

void cbpf_tree_unmap(struct arbiter_tree *tree) {
    munmap(tree, pages(sizeof(*tree)));
}

int cbpf_cgroup_alive(int mount, uint64_t cgroup) {
    // A cgroup's handle is its number (FILEID_KERNFS in linux/exportfs.h).
    struct {
        struct file_handle head;
        uint64_t id;
    } handle = {.head = {.handle_bytes = sizeof(uint64_t), .handle_type = 0xfe}};
    memcpy(handle.head.f_handle, &cgroup, sizeof(cgroup));
    int found = open_by_handle_at(mount, &handle.head, O_PATH | O_CLOEXEC);
    if (found >= 0) {
        close(found);
        return 1;
    }
    return errno == ESTALE || errno == ENOENT ? 0 : -1;
}

void cbpf_name_key(struct arbiter_name_key *key, uint32_t slot, uint32_t node, const uint8_t *name, uint32_t length) {
    memset(key, 0, sizeof(*key));
    key->slot = slot;
    key->node = node;
    key->length = length;
    memcpy(key->name, name, length < ARBITER_NAME_BYTES ? length : ARBITER_NAME_BYTES - 1);
}
