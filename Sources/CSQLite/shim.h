// SQLite, for the tools' list of threats. Debian's libsqlite3-dev has the static library the static executable needs.
#include <sqlite3.h>

// SQLITE_TRANSIENT is a cast of -1 to a function pointer, which Swift does not import: the value is copied at once.
static inline int sqlite_bind_bytes(sqlite3_stmt *statement, int place, const void *bytes, sqlite3_uint64 count) {
    return sqlite3_bind_blob64(statement, place, count ? bytes : "", count, SQLITE_TRANSIENT);
}

static inline int sqlite_bind_characters(sqlite3_stmt *statement, int place, const char *text, sqlite3_uint64 count) {
    return sqlite3_bind_text64(statement, place, count ? text : "", count, SQLITE_TRANSIENT, SQLITE_UTF8);
}
