/*
 * Subscribers to an MQTT broker, many in one process: mqtt_crowd PORT COUNT TOPIC.
 *
 * Prints "ready" when all have subscribed (MQTT 5, quality of service 2), then waits until each has received one
 * message and the broker's release of it (PUBREL), when a subscriber would act. Prints a line for each: the monotonic
 * clock in nanoseconds, the payload's bytes, its serial (bytes 16 to 23).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* What is looked at of a packet: the topic, the identifier and a payload's first bytes. */
enum { head_size = 512 };

struct subscriber {
    int socket;
    uint8_t head[head_size];
    uint32_t have;   /* bytes of the packet's body so far */
    uint32_t length; /* of its body */
    int kind;        /* its first byte; -1: none yet */
    int shift;       /* of the length's next digit; -1: the length is whole */
    uint32_t payload;
    uint64_t serial, released;
};

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void say(int socket, const void *bytes, size_t size) {
    /* A few bytes: a socket that does not take them is broken. */
    if (write(socket, bytes, size) != (ssize_t)size)
        fail("write");
}

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static int ready, done;

static void handle(struct subscriber *one, const char *topic) {
    const uint8_t *body = one->head;
    switch (one->kind >> 4) {
    case 2: { /* CONNACK */
        if (one->length < 2 || body[1] != 0) {
            fprintf(stderr, "the broker refused a connection: %d\n", body[1]);
            exit(1);
        }
        size_t size = strlen(topic);
        uint8_t subscribe[256] = {0x82, (uint8_t)(6 + size), 0, 1, 0, (uint8_t)(size >> 8), (uint8_t)size};
        memcpy(subscribe + 7, topic, size);
        subscribe[7 + size] = 2;
        say(one->socket, subscribe, 8 + size);
        break;
    }
    case 9:
        ready++;
        break; /* SUBACK */
    case 3: {  /* PUBLISH */
        uint32_t topic_size = (uint32_t)body[0] << 8 | body[1];
        uint32_t at = 2 + topic_size;
        uint8_t answer[4] = {0x50, 2, body[at], body[at + 1]};
        uint32_t properties = body[at + 2];
        if (properties > 127 || at + 3 + properties + 24 > head_size)
            exit(1);
        at += 3 + properties;
        one->payload = one->length - at;
        memcpy(&one->serial, body + at + 16, 8);
        say(one->socket, answer, 4);
        break;
    }
    case 6: { /* PUBREL */
        uint8_t answer[4] = {0x70, 2, body[0], body[1]};
        say(one->socket, answer, 4);
        if (!one->released)
            done++;
        one->released = now();
        break;
    }
    default:
        break;
    }
    one->kind = -1;
}

static void take(struct subscriber *one, const uint8_t *bytes, size_t count, const char *topic) {
    while (count) {
        if (one->kind < 0) {
            one->kind = *bytes++, count--;
            one->have = one->length = 0;
            one->shift = 0;
            continue;
        }
        if (one->shift >= 0) {
            uint8_t digit = *bytes++;
            count--;
            one->length |= (uint32_t)(digit & 127) << one->shift;
            one->shift = digit & 128 ? one->shift + 7 : -1;
            if (one->shift < 0 && one->length == 0)
                handle(one, topic);
            continue;
        }
        uint32_t part = one->length - one->have;
        if (part > count)
            part = (uint32_t)count;
        if (one->have < head_size) {
            uint32_t room = head_size - one->have;
            memcpy(one->head + one->have, bytes, part < room ? part : room);
        }
        one->have += part, bytes += part, count -= part;
        if (one->have == one->length)
            handle(one, topic);
    }
}

int main(int argc, char **argv) {
    if (argc != 4)
        return 64;
    int count = atoi(argv[2]);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    struct subscriber *crowd = calloc((size_t)count, sizeof *crowd);
    int poll = epoll_create1(EPOLL_CLOEXEC);
    if (!crowd || poll < 0)
        fail("starting");
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int index = 0; index < count; index++) {
        struct subscriber *one = &crowd[index];
        one->kind = -1;
        one->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (one->socket < 0 || connect(one->socket, (struct sockaddr *)&address, sizeof address) < 0)
            fail("connect");
        char name[16];
        int size = snprintf(name, sizeof name, "crowd-%d", index);
        /* CONNECT: MQTT 5, clean start, keep-alive 600 s, no properties. */
        uint8_t connect[64] = {0x10, (uint8_t)(13 + size), 0, 4, 'M', 'Q', 'T', 'T', 5, 2, 2, 88, 0, 0, (uint8_t)size};
        memcpy(connect + 15, name, (size_t)size);
        say(one->socket, connect, 15 + (size_t)size);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = one};
        if (epoll_ctl(poll, EPOLL_CTL_ADD, one->socket, &event) < 0)
            fail("epoll_ctl");
    }
    static uint8_t buffer[1 << 18];
    int said = 0;
    while (done < count) {
        struct epoll_event events[256];
        int found = epoll_wait(poll, events, 256, 60000);
        if (found == 0) {
            fprintf(stderr, "a minute of silence: %d subscribed, %d done\n", ready, done);
            return 1;
        }
        for (int index = 0; index < found; index++) {
            struct subscriber *one = events[index].data.ptr;
            ssize_t size = read(one->socket, buffer, sizeof buffer);
            if (size <= 0)
                fail("the broker closed a connection");
            take(one, buffer, (size_t)size, argv[3]);
        }
        if (!said && ready == count) {
            puts("ready");
            fflush(stdout);
            said = 1;
        }
    }
    for (int index = 0; index < count; index++)
        printf("%llu %u %llu\n", (unsigned long long)crowd[index].released, crowd[index].payload,
               (unsigned long long)crowd[index].serial);
    return 0;
}
