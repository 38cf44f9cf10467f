// Why C: libbpf's options are structs with a size in front, made by macros Swift cannot import; ring buffers need
// acquire and release on mapped memory; and the records' layouts are shared with the programs' own header.
#ifndef CBPF_H
#define CBPF_H

#include <stddef.h>
#include <stdint.h>
#include "../../../bpf/arbiter_abi.h"

#pragma clang assume_nonnull begin

// The object inside the binary.
const uint8_t *cbpf_object(void);
size_t cbpf_object_size(void);
// 128 bits in hexadecimal digits that differ for different objects: the name of the folder of pins.
const char *cbpf_object_digest(void);

// Loads and attaches everything in `object` and pins it under `folder` (maps/, links/, programs/), which exists and is
// empty. Names in `without` (separated by commas) are not attached: for tests that show what a program is for.
// Returns 0, or -1 with errno set and what libbpf said last in `message`.
int cbpf_load(const uint8_t *object, size_t size, const char *folder, const char *without, char *message,
              size_t message_size);

// One line for each program: name, section, verified instructions, bytes of machine code.
struct cbpf_program {
    char name[64];
    char section[64];
    uint32_t verified;
    uint32_t bytes;
};
int cbpf_measure(const uint8_t *object, size_t size, struct cbpf_program *programs, int room);

// A pinned map, program or link; close-on-exec. -1 and errno.
int cbpf_pinned(const char *path);
// The same by its name in an open folder, which is half the price; EINVAL before kernel 6.5.
int cbpf_pinned_below(int folder, const char *name);

struct cbpf_map_shape {
    uint32_t type, key_size, value_size, entries;
};
int cbpf_map_shape(int map, struct cbpf_map_shape *shape);
// The kernel's number of the program a link holds in place; 0 where it holds none any more.
uint32_t cbpf_link_program(int link);

int cbpf_map_get(int map, const void *key, void *value);
int cbpf_map_put(int map, const void *key, const void *value);
// Only where the key is not there: -1 and EEXIST.
int cbpf_map_add(int map, const void *key, const void *value);
int cbpf_map_remove(int map, const void *key);
// Many at once, each a key and a value of the map's sizes in a row. -1 and errno; some may be written then.
int cbpf_map_put_all(int map, const void *keys, const void *values, uint32_t count);
// Those that are there.
int cbpf_map_remove_all(int map, const void *keys, uint32_t key_size, uint32_t count);
// The next entries of a hash or trie, from `place` on: at most `*count`, which becomes how many there are. 1: there may
// be more; 0: those were the last; -1 and errno.
enum { CBPF_PLACE = 128 };
int cbpf_map_some(int map, uint8_t place[_Nonnull CBPF_PLACE], int first, void *keys, void *values, uint32_t *count);
// The map in a map of maps; -1 and errno.
int cbpf_map_inner(int outer, uint32_t index);
int cbpf_processors(void);
// Fills `size` bytes with the kernel's randomness.
int cbpf_random(void *bytes, size_t size);
// flock(2), exclusive, waiting.
int cbpf_lock(int file);

// Runs the iterator `program` over the descriptors of process `pid`. Returns how many there were, at most `room` of
// them stored; -1 and errno.
int cbpf_list_objects(int program, uint32_t pid, struct arbiter_object *found, int room);

// Runs the iterator `program` over every process of the machine; what it writes, as pairs of slot and process.
// Returns how many pairs there were, at most `room` of them stored; -1 and errno.
int cbpf_list_mapped(int program, uint32_t (*_Nonnull found)[2], int room);
// Runs the kernel's own key function and filters over a question.
int cbpf_ask_policy(int program, struct arbiter_question *question);

// A map of one value that holds a filter's bits; -1 and errno.
int cbpf_bits_make(const char *name, const void *bits, uint32_t bytes);
// A map of `count` keys of 16 bytes, in order, each with its number; -1 and errno.
int cbpf_keys_make(const char *name, const void *keys, uint32_t count);

// Attaches a program of an LSM hook; the descriptor holds it attached.
int cbpf_attach(int program);
int cbpf_pin(int object, const char *path);

int cbpf_ring_make(const char *name, uint32_t bytes);

struct cbpf_ring {
    int map;
    uint32_t mask;
    uint64_t position;
    uint64_t *_Nullable consumed;
    const uint64_t *_Nullable produced;
    const uint8_t *_Nullable data;
    // Another reads it now.
    int retired;
};
int cbpf_ring_open(int map, uint32_t bytes, struct cbpf_ring *ring);
// The next record, in place, or NULL when there is none (yet). It stays valid until cbpf_ring_release.
const struct arbiter_event *_Nullable cbpf_ring_next(struct cbpf_ring *ring);
void cbpf_ring_release(struct cbpf_ring *ring);
// Passes over what is in it: an earlier sandbox's.
void cbpf_ring_skip(struct cbpf_ring *ring);
void cbpf_ring_close(struct cbpf_ring *ring);

// The globals of the object, mapped from their pinned maps.
struct arbiter_registry *_Nullable cbpf_registry(int map);
struct arbiter_tree *_Nullable cbpf_tree(int map);
void cbpf_registry_mark(struct arbiter_registry *registry, uint64_t cgroup);
void cbpf_registry_clear(struct arbiter_registry *registry);
void cbpf_registry_count(struct arbiter_registry *registry, uint32_t sandboxes);
void cbpf_tree_changed(struct arbiter_tree *tree);
// How many sandboxes have had rights taken away, changed by `by`; gives the new number.
uint32_t cbpf_registry_revoked(struct arbiter_registry *registry, int by);
// The clock verdicts age by, and what makes it the wall clock.
void cbpf_tree_tick(struct arbiter_tree *tree);

// The table of sandboxes, mapped. Its fields are changed one by one: the kernel may be changing others of the same
// entry.
struct arbiter_sandbox *_Nullable cbpf_sandboxes(int map);
void cbpf_sandboxes_unmap(struct arbiter_sandbox *sandboxes);
void cbpf_sandbox_enter(struct arbiter_sandbox *place, const struct arbiter_sandbox *sandbox);
void cbpf_sandbox_names(struct arbiter_sandbox *sandbox, uint64_t lengths);
// From here on whoever collects may finish the work, should this process die.
void cbpf_sandbox_going(struct arbiter_sandbox *sandbox);
void cbpf_sandbox_free(struct arbiter_sandbox *sandbox);
void cbpf_sandbox_level(struct arbiter_sandbox *sandbox, uint32_t level);
// Sets the flags to `flags`, those in `kept` as they are.
void cbpf_sandbox_flags(struct arbiter_sandbox *sandbox, uint32_t flags, uint32_t kept);
// Adds flags; gives those there were.
uint32_t cbpf_sandbox_add_flags(struct arbiter_sandbox *sandbox, uint32_t flags);
// Gives a sandbox another threat policy: its number and one, or 0. For who holds the lock.
void cbpf_sandbox_policy(struct arbiter_sandbox *sandbox, uint32_t policy);

// The name of a program that has to be attached, NULL after the last; and the kernel's number for it.
const char *_Nullable cbpf_registry_link(const struct arbiter_registry *registry, uint32_t index);
uint32_t cbpf_registry_program(const struct arbiter_registry *registry, uint32_t index);
void cbpf_registry_unmap(struct arbiter_registry *registry);
void cbpf_tree_unmap(struct arbiter_tree *tree);

// Whether a cgroup of the v2 hierarchy mounted at `mount` (a descriptor) still is: 1, 0, or -1 and errno.
int cbpf_cgroup_alive(int mount, uint64_t cgroup);

// The fields of a record that Swift sees as tuples.
void cbpf_name_key(struct arbiter_name_key *key, uint32_t slot, uint32_t node, const uint8_t *name, uint32_t length);

#pragma clang assume_nonnull end

#endif
