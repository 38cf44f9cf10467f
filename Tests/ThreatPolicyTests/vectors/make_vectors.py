"""Writes policy_keys.tsv: the threat policy's keys, hashed by libsodium over messages put together here.

    python3 make_vectors.py > policy_keys.tsv

Nothing here shares a line with bpf/policy_key.h, which it checks.
"""

import ctypes
import hashlib
import ipaddress
import random
import struct

sodium = ctypes.CDLL("libsodium.so.23")
DIGEST, PATH, NAME, INODE, ADDRESS, CALL, FAMILY, IOCTL = range(1, 9)
EXECUTE, READ, WRITE, CONNECT, BIND, CALL_MADE = range(1, 7)
AUDIT_ARCH_X86_64 = 0xC000003E


def siphash(secret: bytes, message: bytes) -> bytes:
    out = ctypes.create_string_buffer(16)
    sodium.crypto_shorthash_siphashx24(out, message, ctypes.c_ulonglong(len(message)), secret)
    return out.raw


def part(name: bytes) -> bytes:
    return struct.pack("<Q", len(name)) + name + bytes(-len(name) % 8)


def address(text, prefix, port, protocol):
    parsed = ipaddress.ip_address(text)
    number = int(parsed) if parsed.version == 6 else 0xFFFF << 32 | int(parsed)
    length = prefix if parsed.version == 6 else prefix + 96
    number &= ~((1 << (128 - length)) - 1)
    return length | protocol << 8 | port << 16, number.to_bytes(16, "big")


def cases(random):
    yield DIGEST, EXECUTE, hashlib.sha256(b"").hexdigest(), 0, hashlib.sha256(b"").digest()
    for number in range(8):
        digest = hashlib.sha256(bytes([number])).digest()
        yield DIGEST, EXECUTE, digest.hex(), 0, digest
    paths = ["/", "/a", "/usr/bin/python3", "/usr/bin/pythön3", "/" + "x" * 255, "/12345678", "/1234567/87654321"]
    paths += ["/" + "/".join("d%d" % n for n in range(63))]
    paths += ["/" + "/".join("".join(random.choices("abcdefg.-_ 0", k=random.randint(1, 40))) for _ in range(depth))
              for depth in range(1, 12)]
    for path in paths:
        parts = [name.encode() for name in path.split("/") if name]
        for operation in (EXECUTE, READ, WRITE):
            yield PATH, operation, path, 0, b"".join(part(name) for name in reversed(parts))
    for name in ["nc", "a", "12345678", "123456789", "x" * 255, "evil.so", "naïve"]:
        yield NAME, EXECUTE, name, 0, part(name.encode())
    for major, minor, inode in [(8, 1, 2), (0, 35, 1), (259, 65537, 2**63 + 5), (0, 0, 0)]:
        yield INODE, READ, f"{major}:{minor}:{inode}", 0, struct.pack("<QQ", major << 32 | minor, inode)
    for text, prefix, port, protocol in [
        ("192.0.2.7", 32, 443, 6), ("192.0.2.200", 24, 0, 0), ("10.1.2.3", 8, 53, 17), ("203.0.113.9", 25, 0, 6),
        ("2001:db8::1", 128, 8443, 6), ("2001:db8:1:2:3::", 64, 0, 0), ("2001:db8::ffff", 65, 1, 0), ("::", 0, 0, 0),
        ("0.0.0.0", 0, 25, 6), ("fe80::1", 10, 0, 17), ("1.2.3.4", 1, 65535, 255),
    ]:
        details, value = address(text, prefix, port, protocol)
        yield ADDRESS, CONNECT, f"{text}/{prefix} port {port} protocol {protocol}", details, value
    for number in (0, 101, 321, 450):
        yield CALL, CALL_MADE, str(number), AUDIT_ARCH_X86_64 << 16, struct.pack("<Q", number)
    for number in (1, 2, 17, 40):
        yield FAMILY, CALL_MADE, str(number), 0, struct.pack("<Q", number)
    for number in (0x54, 0x89, 0xFF):
        yield IOCTL, CALL_MADE, str(number), 0, struct.pack("<Q", number)


def bits(key: bytes, count: int, log2: int):
    low, high = struct.unpack("<QQ", key)
    return [(low + turn * (high | 1)) % (1 << log2) for turn in range(count)]


def main():
    generator = random.Random(20260118)
    secrets = [bytes(range(16)), bytes(16), generator.randbytes(16)]
    print("# secret, kind, operation, value, message in words, key, bits in a base filter, bits in a hotfix filter")
    for index, (kind, operation, value, details, tail) in enumerate(cases(generator)):
        secret = secrets[index % len(secrets)]
        message = struct.pack("<Q", kind | operation << 8 | details << 16) + tail
        key = siphash(secret, message)
        print(secret.hex(), kind, operation, value, message.hex(), key.hex(),
              ",".join(map(str, bits(key, 7, 24))), ",".join(map(str, bits(key, 10, 22))), sep="\t")


if __name__ == "__main__":
    main()
