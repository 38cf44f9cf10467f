// Sockets: which families, which addresses, which services of the host.
#include "events.h"

#define AF_UNSPEC 0
#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10
#define AF_NETLINK 16
#define SOCK_RAW 3
#define SOCK_TYPE_MASK 0xf

// Families are doors to kernel code most agents never need (C100, C105, C107, C112, C114); netlink is allowed for
// routes only (protocol 0), raw sockets never (C152).
SEC("lsm/socket_create")
int BPF_PROG(socket_create, int family, int type, int protocol, int kern) {
    // The kernel's own, made on behalf of nobody.
    if (kern)
        return 0;
    u32 slot = caller();
    if (!slot)
        return 0;
    struct arbiter_sandbox *sandbox = bpf_map_lookup_elem(&sandboxes, &slot);
    if (!sandbox)
        return -EPERM;
    u32 refused = family < 0 || family > 63 || !(sandbox->families >> (family & 63) & 1);
    if ((family == AF_INET || family == AF_INET6) && (type & SOCK_TYPE_MASK) == SOCK_RAW)
        refused = 1;
    if (family == AF_NETLINK && protocol != 0)
        refused = 1;
    struct question asked = {.slot = slot,
                             .operation = ARBITER_OP_SOCKET,
                             .detail = (u64)family << 32 | (u32)(type & SOCK_TYPE_MASK) << 16 | (u16)protocol};
    if (!refused)
        refused = UNDER_ONE_POLICY(&asked, sandbox, number_threatens(&asked, policy, POLICY_FAMILY, family));
    return judge_deed(&asked, refused);
}

// The address as the kernel holds it (already copied from the caller, so nobody can change it now), against the
// sandbox's addresses: the longest matching prefix decides, else the network mode (C149 to C156).
static __always_inline int judge_address(struct socket *socket, u32 operation, u64 address, u32 length) {
    u32 slot = caller();
    if (!slot)
        return 0;
    u16 family = 0, port = 0;
    if (!address || length < sizeof(family) || bpf_probe_read_kernel(&family, sizeof(family), (void *)address))
        return 0;
    struct question asked = {.slot = slot, .operation = operation, .detail = family};
    struct arbiter_address_key key = {.prefix = 32 + 128, .slot = slot};
    if (family == AF_INET) {
        key.address[10] = 0xff;
        key.address[11] = 0xff;
        bpf_probe_read_kernel(&key.address[12], 4, (void *)address + 4);
    } else if (family == AF_INET6) {
        bpf_probe_read_kernel(key.address, 16, (void *)address + 8);
    } else {
        // unix has hooks of its own; AF_UNSPEC takes an address away; other families were decided at socket().
        return 0;
    }
    bpf_probe_read_kernel(&port, sizeof(port), (void *)address + 2);
    asked.port = __builtin_bswap16(port);
    __builtin_memcpy(asked.address, key.address, sizeof(asked.address));
    u32 refused = !(sandbox_flags(slot) & ARBITER_ALLOW_INET);
    struct arbiter_address *rule = bpf_map_lookup_elem(&addresses, &key);
    if (rule && asked.port >= rule->first_port && asked.port <= rule->last_port) {
        refused = !rule->allowed;
        asked.answer = rule->rule << ANSWER_RULE_SHIFT;
    }
    struct arbiter_sandbox *sandbox = bpf_map_lookup_elem(&sandboxes, &slot);
    if (!refused && sandbox && sandbox->policy) {
        struct sock *sk = 0;
        u16 protocol = 0;
        READ(sk, socket->sk);
        READ(protocol, sk->sk_protocol);
        refused = UNDER_ONE_POLICY(&asked, sandbox, address_threatens(&asked, policy, protocol));
    }
    return judge_deed(&asked, refused);
}

SEC("lsm/socket_connect")
int BPF_PROG(socket_connect, struct socket *socket, struct sockaddr *address, int length) {
    return caller_cgroup() ? judge_address(socket, ARBITER_OP_CONNECT, ARGUMENT(1), length) : 0;
}

SEC("lsm/socket_bind")
int BPF_PROG(socket_bind, struct socket *socket, struct sockaddr *address, int length) {
    return caller_cgroup() ? judge_address(socket, ARBITER_OP_BIND, ARGUMENT(1), length) : 0;
}

// A listener without a bind takes any port: where no address may be used, listening may not either.
SEC("lsm/socket_listen")
int BPF_PROG(socket_listen, struct socket *socket, int backlog) {
    u32 slot = caller();
    if (!slot)
        return 0;
    struct sock *sk = 0;
    u16 family = 0;
    READ(sk, socket->sk);
    READ(family, sk->__sk_common.skc_family);
    if (family != AF_INET && family != AF_INET6)
        return 0;
    struct question asked = {.slot = slot, .operation = ARBITER_OP_LISTEN, .detail = family};
    return judge_deed(&asked, !(sandbox_flags(slot) & ARBITER_ALLOW_INET));
}

// A datagram with an address is a connection in one call (C151, C176).
SEC("lsm/socket_sendmsg")
int BPF_PROG(socket_sendmsg, struct socket *socket, struct msghdr *message) {
    if (!caller_cgroup())
        return 0;
    u64 address = 0;
    int length = 0;
    READ(address, message->msg_name);
    READ(length, message->msg_namelen);
    return address ? judge_address(socket, ARBITER_OP_SEND, address, length) : 0;
}

// A unix socket of the host is a service with the host's rights (C157, C179 to C186). The kernel notes on every
// socket the cgroup it was made in: one of the same sandbox is free, any other needs a rule with the right to connect
// on its path. An abstract name of the host has no path and so no rule.
static __always_inline int judge_unix(u32 operation, struct sock *other) {
    u32 slot = caller();
    if (!slot)
        return 0;
    struct cgroup *group = 0;
    struct kernfs_node *node = 0;
    u64 id = 0;
    READ(group, other->sk_cgrp_data.cgroup);
    READ(node, group->kn);
    READ(id, node->id);
    if (slot_of(id) == slot)
        return 0;
    struct unix_sock *peer = (struct unix_sock *)other;
    struct question asked = {.slot = slot, .operation = operation, .wanted = ARBITER_CONNECT, .detail = AF_UNIX};
    READ(asked.dentry, peer->path.dentry);
    READ(asked.mount, peer->path.mnt);
    if (!asked.dentry)
        return judge_deed(&asked, 1);
    return judge(&asked);
}

SEC("lsm/unix_stream_connect")
int BPF_PROG(unix_stream_connect, struct sock *socket, struct sock *other) {
    return judge_unix(ARBITER_OP_UNIX_CONNECT, other);
}

SEC("lsm/unix_may_send")
int BPF_PROG(unix_may_send, struct socket *socket, struct socket *other) {
    struct sock *peer = 0;
    READ(peer, other->sk);
    return judge_unix(ARBITER_OP_UNIX_SEND, peer);
}
