// Why C: keys and filters are hashed by the very text the kernel's programs are made of (bpf/policy_key.h), and a
// look-up walks words of a mapped file without allocating.
#ifndef MIS_CPOLICYKEY_H
#define MIS_CPOLICYKEY_H

#include <stddef.h>
#include <string.h>
#include "../../../bpf/policy_key.h"

#pragma clang assume_nonnull begin

// An absolute path, lexically normal, without an ending slash; longer parts than a name can have: not a path, returns
// 0.
static inline int policy_path_key(const uint64_t secret[_Nonnull 2], uint32_t operation, const uint8_t *path,
                                  size_t length, struct policy_key *key) {
    struct policy_hash h;
    uint64_t part[POLICY_NAME_WORDS];
    policy_hash_start(&h, secret, POLICY_PATH, operation, 0);
    size_t end = length;
    while (end > 0) {
        size_t start = end;
        while (start > 0 && path[start - 1] != '/')
            start--;
        size_t bytes = end - start;
        // Before the first slash there is nothing, or it is no absolute path.
        if (start == 0)
            return 0;
        if (bytes > 255 || (bytes == 0 && length != 1))
            return 0;
        if (bytes) {
            part[(bytes - 1) / 8] = 0;
            memcpy(part, path + start, bytes);
            policy_hash_part(&h, part, (uint32_t)bytes);
        }
        end = start - 1;
    }
    if (!length)
        return 0;
    *key = policy_hash_end(&h);
    return 1;
}

// The 32 bytes of a SHA-256, wherever they lie.
static inline struct policy_key policy_digest_bytes_key(const uint64_t secret[_Nonnull 2], uint32_t operation,
                                                        const uint8_t *digest) {
    uint64_t words[4];
    memcpy(words, digest, sizeof words);
    return policy_digest_key(secret, operation, words);
}

// A name, 1 to 255 bytes; 0: it is none.
static inline int policy_name_key(const uint64_t secret[_Nonnull 2], uint32_t operation, const uint8_t *name,
                                  size_t length, struct policy_key *key) {
    struct policy_hash h;
    uint64_t part[POLICY_NAME_WORDS];
    if (length == 0 || length > 255)
        return 0;
    policy_hash_start(&h, secret, POLICY_NAME, operation, 0);
    part[(length - 1) / 8] = 0;
    memcpy(part, name, length);
    policy_hash_part(&h, part, (uint32_t)length);
    *key = policy_hash_end(&h);
    return 1;
}

// Whether all bits of the key are set. `bits` has 1 << bits_log2 bits.
static inline int policy_filter_holds(const uint8_t *bits, uint32_t bits_log2, uint32_t hashes, struct policy_key key) {
    for (uint32_t turn = 0; turn < hashes; turn++) {
        uint64_t bit = policy_bit(key, turn, bits_log2);
        if (!(bits[bit >> 3] >> (bit & 7) & 1))
            return 0;
    }
    return 1;
}

static inline void policy_filter_add(uint8_t *bits, uint32_t bits_log2, uint32_t hashes, struct policy_key key) {
    for (uint32_t turn = 0; turn < hashes; turn++) {
        uint64_t bit = policy_bit(key, turn, bits_log2);
        bits[bit >> 3] |= (uint8_t)(1 << (bit & 7));
    }
}

#pragma clang assume_nonnull end

#endif
