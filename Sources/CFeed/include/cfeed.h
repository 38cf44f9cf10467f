/*
 * What mis-feed needs of C: libcurl's variadic calls, which Swift cannot make, and the confinement of a process that
 * reads what strangers send (Landlock and libseccomp have no face in Swift's Glibc module).
 */
#ifndef MIS_CFEED_H
#define MIS_CFEED_H

#include <curl/curl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef size_t (*feed_receiver)(char *_Nonnull bytes, size_t size, size_t count, void *_Nullable context);

CURLcode feed_curl_number(CURL *_Nonnull handle, CURLoption option, long value);
CURLcode feed_curl_size(CURL *_Nonnull handle, CURLoption option, int64_t value);
/* NULL takes a text back. libcurl copies texts. */
CURLcode feed_curl_text(CURL *_Nonnull handle, CURLoption option, const char *_Nullable value);
CURLcode feed_curl_pointer(CURL *_Nonnull handle, CURLoption option, void *_Nullable value);
CURLcode feed_curl_receiver(CURL *_Nonnull handle, CURLoption option, feed_receiver _Nonnull receiver);
long feed_curl_status(CURL *_Nonnull handle);
/* The next finished transfer, or NULL. */
CURL *_Nullable feed_curl_finished(CURLM *_Nonnull multi, CURLcode *_Nonnull result);

/* fork(2), with a child that dies with its parent. */
pid_t feed_fork(void);

enum feed_access { feed_access_read, feed_access_write };

/* A file, or a folder with all below it. */
struct feed_path {
    const char *_Nonnull path;
    enum feed_access access;
};

enum feed_confined {
    feed_confined_landlock = 1,
    feed_confined_network = 2, /* no TCP port can be listened on: Linux 6.7 */
    feed_confined_scopes = 4,  /* no signals and abstract sockets towards outside: Linux 6.12 */
};

/*
 * Gives up for good: capabilities, new privileges, files but `paths` (those that are not there are left out),
 * executions, forks, tracing, mounts, namespaces and the kernel's rarer interfaces. Address space is limited to
 * `memory` bytes. Returns a set of enum feed_confined, or -1 with errno and `step` naming what failed.
 */
int feed_confine(const struct feed_path *_Nonnull paths, size_t count, uint64_t memory,
                 const char *_Nullable *_Nonnull step);

#endif
