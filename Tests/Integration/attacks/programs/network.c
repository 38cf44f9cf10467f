/* Classes K, M and S, as far as namespaces hold them. Addresses are invented (RFC 5737, RFC 3849). */
#include "attack.h"
#include <arpa/inet.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <pwd.h>
#include <stddef.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/un.h>

static long reached(int type, const char *address, int port) {
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    int is_four = inet_pton(AF_INET, address, &four.sin_addr) == 1;
    if (!is_four)
        inet_pton(AF_INET6, address, &six.sin6_addr);
    int fd = socket(is_four ? AF_INET : AF_INET6, type | SOCK_NONBLOCK, 0), on = 1;
    setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof on);
    long result =
        is_four ? connect(fd, (struct sockaddr *)&four, sizeof four) : connect(fd, (struct sockaddr *)&six, sizeof six);
    if (result < 0 && errno == EINPROGRESS)
        result = 0; /* a packet has gone out */
    if (result == 0 && type == SOCK_DGRAM)
        result = send(fd, "x", 1, 0);
    int kept = errno;
    close(fd);
    errno = kept;
    return result;
}

static void addresses(void) {
    step("TCP to the documentation network", reached(SOCK_STREAM, "192.0.2.77", 443));
    step("TCP to the metadata address", reached(SOCK_STREAM, "169.254.169.254", 80));
    step("TCP over IPv6", reached(SOCK_STREAM, "2001:db8::77", 443));
    step("UDP", reached(SOCK_DGRAM, "192.0.2.77", 443));
    step("UDP, DNS", reached(SOCK_DGRAM, "192.0.2.53", 53));
    step("UDP over IPv6", reached(SOCK_DGRAM, "2001:db8::77", 443));
    step("UDP, mapped address", reached(SOCK_DGRAM, "::ffff:192.0.2.77", 443));
    step("multicast", reached(SOCK_DGRAM, "224.0.0.251", 5353));
    step("broadcast", reached(SOCK_DGRAM, "255.255.255.255", 67));
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof own;
    near("own loopback", bind(listener, (struct sockaddr *)&own, size) || listen(listener, 1) ||
                                 getsockname(listener, (struct sockaddr *)&own, &size) ||
                                 reached(SOCK_STREAM, "127.0.0.1", ntohs(own.sin_port)) < 0
                             ? -1
                             : 0);
}

static void raw_sockets(void) {
    step("raw ICMP", close_if_open(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP)));
    step("raw IPv6", close_if_open(socket(AF_INET6, SOCK_RAW, 58)));
    step("ping socket", close_if_open(socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP)));
    near("UDP", close_if_open(socket(AF_INET, SOCK_DGRAM, 0)));
}

static long unix_connect(const char *name, int is_abstract) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t size = strlen(name);
    memcpy(address.sun_path + is_abstract, name, size);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    long result =
        connect(fd, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size + 1));
    int kept = errno;
    close(fd);
    errno = kept;
    return result;
}

static void services(void) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in host = {.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)atoi(argument("port"))),
                               .sin_addr = {htonl(INADDR_LOOPBACK)}};
    step("TCP", connect(fd, (struct sockaddr *)&host, sizeof host));
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t size = strlen(argument("abstract"));
    memcpy(address.sun_path + 1, argument("abstract"), size);
    int local = socket(AF_UNIX, SOCK_STREAM, 0);
    step("abstract socket",
         connect(local, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + size)));
    step("socket by path", unix_connect(argument("path"), 0));
    int pair[2];
    near("socketpair", socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    int own = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un mine = {.sun_family = AF_UNIX, .sun_path = "\0mis-attack-own"};
    near("own abstract socket", bind(own, (struct sockaddr *)&mine, sizeof mine) || listen(own, 1) ||
                                        connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&mine, sizeof mine)
                                    ? -1
                                    : 0);
}

static void listen_inside(void) {
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in own = {.sin_family = AF_INET};
    socklen_t size = sizeof own;
    if (bind(listener, (struct sockaddr *)&own, size) || listen(listener, 4) ||
        getsockname(listener, (struct sockaddr *)&own, &size))
        print("note %s\n", strerror(errno));
    print("note port %d\n", ntohs(own.sin_port));
    char byte;
    while (read(0, &byte, 1) > 0)
        ;
}

enum { shared_key = 0x6d697361 };

/* Makes what the attack looks for. */
static void keep_objects(void) {
    shmget(shared_key, 4096, IPC_CREAT | 0666);
    mq_close(mq_open("/mis-attack", O_RDWR | O_CREAT, 0666, NULL));
}

static void forget_objects(void) {
    shmctl(shmget(shared_key, 4096, 0), IPC_RMID, NULL);
    mq_unlink("/mis-attack");
}

static void ipc(void) {
    step("shared memory by key", shmget(shared_key, 4096, 0));
    step("message queue by name", mq_open("/mis-attack", O_RDONLY) == (mqd_t)-1 ? -1 : 0);
    int own = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
    near("own shared memory", own);
    shmctl(own, IPC_RMID, NULL);
}

static void identity(void) {
    char name[65] = "", inside[] = "sandbox";
    gethostname(name, sizeof name - 1);
    errno = ENODATA;
    step("host name", strcmp(name, inside) ? 0 : -1);
    step("machine id", holds("/etc/machine-id", argument("machine")));
    errno = ENODATA;
    step("user names of the host", holds("/etc/passwd", "games:"));
    near("own user name", getpwuid(getuid()) ? 0 : -1);
}

ATTACKS({"C149", addresses}, {"C152", raw_sockets}, {"C154", services}, {"C155", listen_inside}, {"keep", keep_objects},
        {"forget", forget_objects}, {"C185", ipc}, {"C238", identity})
