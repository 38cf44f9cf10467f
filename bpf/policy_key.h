// The threat policy's keys: what an access is asked about, as 128 bits, and where these lie in a filter. One text for
// the kernel's programs and, through CPolicyKey, for Swift; docs/policy.md says why it is so.
//
// A key is hashed by SipHash-2-4 with 128 bits of output under the filter's own secret, over whole 64-bit words:
//
//     word 0        kind | operation << 8 | details of the kind << 16
//     the value     by kind, see below
//
// No libc, no memory but what the caller gives, no loop without a fixed end. Little-endian machines only.
#ifndef MIS_POLICY_KEY_H
#define MIS_POLICY_KEY_H

#ifdef __bpf__
#define POLICY_U8 __u8
#define POLICY_U16 __u16
#define POLICY_U32 __u32
#define POLICY_U64 __u64
#else
#include <stdint.h>
#define POLICY_U8 uint8_t
#define POLICY_U16 uint16_t
#define POLICY_U32 uint32_t
#define POLICY_U64 uint64_t
#endif
#define POLICY_INLINE static inline __attribute__((always_inline, unused))

enum policy_kind {
    // SHA-256 of what is executed or mapped for execution: its four words.
    POLICY_DIGEST = 1,
    // An absolute path, from its last part to its first: of each part its length, then its bytes, the last word filled
    // up with zeroes. The root folder has no part. So the kernel hashes it on its way up.
    POLICY_PATH = 2,
    // The last part of a path, as above.
    POLICY_NAME = 3,
    // major << 32 | minor, then the inode's number. Of this machine only.
    POLICY_INODE = 4,
    // An address range. In word 0: prefix length << 16, protocol << 24 (0: any), port << 32 (0: any). Then the address
    // in network order, IPv4 as ::ffff:a.b.c.d (so its prefix lengths are 96 more), cut to the prefix.
    POLICY_ADDRESS = 5,
    // The call's number, and in word 0 the architecture (AUDIT_ARCH_*) << 32.
    POLICY_CALL = 6,
    // The address family's number.
    POLICY_FAMILY = 7,
    // The type byte of an ioctl's number (_IOC_TYPE): a driver's own letter.
    POLICY_IOCTL = 8,
};

// What is done. A rule for any operation is as many keys as its kind has operations.
enum policy_operation {
    // Execution, or mapping for execution.
    POLICY_EXECUTE = 1,
    POLICY_READ = 2,
    // Opening for writing, creating, truncating, renaming to or from, linking, removing.
    POLICY_WRITE = 3,
    // To connect, or to send without having connected.
    POLICY_CONNECT = 4,
    POLICY_BIND = 5,
    // A system call, a socket made, an ioctl.
    POLICY_CALL_MADE = 6,
};

enum {
    // The longest part of a path, and the zeroes that make words of it.
    POLICY_NAME_BYTES = 256,
    POLICY_NAME_WORDS = 32,
    POLICY_SHAPES = 16,
    POLICY_MAXIMUM_HASHES = 16,
    POLICY_BASE_BITS_LOG2 = 24,
    POLICY_BASE_HASHES = 7,
    POLICY_BASE_CAPACITY = 1 << 20,
    POLICY_HOTFIX_BITS_LOG2 = 22,
    POLICY_HOTFIX_HASHES = 10,
    POLICY_HOTFIX_CAPACITY = 1 << 18,
};

// A kind of address range that a filter holds: only these are worth asking about.
struct policy_shape {
    POLICY_U8 prefix;
    POLICY_U8 flags;
};

enum policy_shape_flag {
    POLICY_SHAPE_PORT = 1,
    POLICY_SHAPE_PROTOCOL = 2,
};

// A filter without its bits.
struct policy_filter {
    POLICY_U64 secret[2];
    POLICY_U64 serial;
    // 1 << bits_log2 bits; 0: there is no such filter, and nothing is in it.
    POLICY_U32 bits_log2;
    POLICY_U32 hashes;
    POLICY_U32 entries;
    // Bit n: there is a key of kind n.
    POLICY_U32 kinds;
    POLICY_U32 shapes;
    POLICY_U32 unused;
    struct policy_shape shape[POLICY_SHAPES];
};

struct policy_key {
    POLICY_U64 low;
    POLICY_U64 high;
};

struct policy_hash {
    POLICY_U64 v0, v1, v2, v3;
    POLICY_U64 words;
};

_Static_assert(sizeof(struct policy_filter) == 80, "policy_filter");
_Static_assert(sizeof(struct policy_key) == 16, "policy_key");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "keys are hashed in little-endian words");

#define POLICY_TURN(x, by) (((x) << (by)) | ((x) >> (64 - (by))))

POLICY_INLINE void policy_round(struct policy_hash *h) {
    h->v0 += h->v1;
    h->v1 = POLICY_TURN(h->v1, 13) ^ h->v0;
    h->v0 = POLICY_TURN(h->v0, 32);
    h->v2 += h->v3;
    h->v3 = POLICY_TURN(h->v3, 16) ^ h->v2;
    h->v0 += h->v3;
    h->v3 = POLICY_TURN(h->v3, 21) ^ h->v0;
    h->v2 += h->v1;
    h->v1 = POLICY_TURN(h->v1, 17) ^ h->v2;
    h->v2 = POLICY_TURN(h->v2, 32);
}

POLICY_INLINE void policy_hash_word(struct policy_hash *h, POLICY_U64 word) {
    h->v3 ^= word;
    policy_round(h);
    policy_round(h);
    h->v0 ^= word;
    h->words++;
}

POLICY_INLINE void policy_hash_secret(struct policy_hash *h, const POLICY_U64 secret[2]) {
    h->v0 = secret[0] ^ 0x736f6d6570736575ULL;
    h->v1 = secret[1] ^ 0x646f72616e646f6dULL ^ 0xee;
    h->v2 = secret[0] ^ 0x6c7967656e657261ULL;
    h->v3 = secret[1] ^ 0x7465646279746573ULL;
    h->words = 0;
}

// `details` are the kind's own, at most 48 bits.
POLICY_INLINE POLICY_U64 policy_word_0(POLICY_U32 kind, POLICY_U32 operation, POLICY_U64 details) {
    return (POLICY_U64)kind | (POLICY_U64)operation << 8 | details << 16;
}

// Begins a key: word 0 is taken in.
POLICY_INLINE void policy_hash_start(struct policy_hash *h, const POLICY_U64 secret[2], POLICY_U32 kind,
                                     POLICY_U32 operation, POLICY_U64 details) {
    policy_hash_secret(h, secret);
    policy_hash_word(h, policy_word_0(kind, operation, details));
}

// SipHash ends with the number of bytes, modulo 256; all of ours are whole words.
POLICY_INLINE POLICY_U64 policy_last_word(const struct policy_hash *h) {
    return h->words << 59;
}

// What SipHash puts in before it gives out the first and the second half.
#define POLICY_END 0xee
#define POLICY_MORE 0xdd

POLICY_INLINE void policy_hash_mix(struct policy_hash *h) {
    policy_round(h);
    policy_round(h);
    policy_round(h);
    policy_round(h);
}

POLICY_INLINE POLICY_U64 policy_hash_out(const struct policy_hash *h) {
    return h->v0 ^ h->v1 ^ h->v2 ^ h->v3;
}

POLICY_INLINE struct policy_key policy_hash_end(struct policy_hash *h) {
    struct policy_key key;
    policy_hash_word(h, policy_last_word(h));
    h->v2 ^= POLICY_END;
    policy_hash_mix(h);
    key.low = policy_hash_out(h);
    h->v1 ^= POLICY_MORE;
    policy_hash_mix(h);
    key.high = policy_hash_out(h);
    return key;
}

// One part of a path: `length` bytes, 1 to 255, in `part`, with zeroes behind them to the end of their last word.
// The kernel's programs give a map's value, whose size the verifier knows.
POLICY_INLINE void policy_hash_part(struct policy_hash *h, const POLICY_U64 part[POLICY_NAME_WORDS],
                                    POLICY_U32 length) {
    policy_hash_word(h, length);
    for (POLICY_U32 word = 0; word < POLICY_NAME_WORDS; word++) {
        if (word * 8 >= length)
            break;
        policy_hash_word(h, part[word]);
    }
}

// The 32 bytes of a SHA-256, as words in memory order.
POLICY_INLINE struct policy_key policy_digest_key(const POLICY_U64 secret[2], POLICY_U32 operation,
                                                  const POLICY_U64 digest[4]) {
    struct policy_hash h;
    policy_hash_start(&h, secret, POLICY_DIGEST, operation, 0);
    policy_hash_word(&h, digest[0]);
    policy_hash_word(&h, digest[1]);
    policy_hash_word(&h, digest[2]);
    policy_hash_word(&h, digest[3]);
    return policy_hash_end(&h);
}

POLICY_INLINE struct policy_key policy_inode_key(const POLICY_U64 secret[2], POLICY_U32 operation, POLICY_U32 major,
                                                 POLICY_U32 minor, POLICY_U64 inode) {
    struct policy_hash h;
    policy_hash_start(&h, secret, POLICY_INODE, operation, 0);
    policy_hash_word(&h, (POLICY_U64)major << 32 | minor);
    policy_hash_word(&h, inode);
    return policy_hash_end(&h);
}

// The first `bits` bits, counted in network order, of the word of an address whose first bit is number `first`.
POLICY_INLINE POLICY_U64 policy_cut(POLICY_U64 word, POLICY_U32 first, POLICY_U32 bits) {
    if (bits <= first)
        return 0;
    if (bits - first >= 64)
        return word;
    return word & __builtin_bswap64(~0ULL << (64 - (bits - first)));
}

// The key of the range of this shape that an address lies in. `address`: 16 bytes in network order, as two words in
// memory order.
POLICY_INLINE struct policy_key policy_address_key(const POLICY_U64 secret[2], POLICY_U32 operation,
                                                   const POLICY_U64 address[2], POLICY_U32 port, POLICY_U32 protocol,
                                                   struct policy_shape shape) {
    struct policy_hash h;
    POLICY_U64 details = shape.prefix;
    if (shape.flags & POLICY_SHAPE_PROTOCOL)
        details |= (POLICY_U64)(protocol & 0xff) << 8;
    if (shape.flags & POLICY_SHAPE_PORT)
        details |= (POLICY_U64)(port & 0xffff) << 16;
    policy_hash_start(&h, secret, POLICY_ADDRESS, operation, details);
    policy_hash_word(&h, policy_cut(address[0], 0, shape.prefix));
    policy_hash_word(&h, policy_cut(address[1], 64, shape.prefix));
    return policy_hash_end(&h);
}

// A system call (`architecture`: AUDIT_ARCH_*), a socket's family or an ioctl's type byte (`architecture` 0).
POLICY_INLINE struct policy_key policy_number_key(const POLICY_U64 secret[2], POLICY_U32 kind, POLICY_U64 number,
                                                  POLICY_U32 architecture) {
    struct policy_hash h;
    policy_hash_start(&h, secret, kind, POLICY_CALL_MADE, (POLICY_U64)architecture << 16);
    policy_hash_word(&h, number);
    return policy_hash_end(&h);
}

// Bit number `index` of the filter is bit `index & 63` of word `index >> 6`. Double hashing (Kirsch and Mitzenmacher):
// the step is odd, so the places of a key differ.
POLICY_INLINE POLICY_U64 policy_bit(struct policy_key key, POLICY_U32 turn, POLICY_U32 bits_log2) {
    return (key.low + turn * (key.high | 1)) & ((1ULL << (bits_log2 & 63)) - 1);
}

#endif
