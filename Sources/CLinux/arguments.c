/*
 * The command line, for less than Swift's CommandLine takes.
 */
#include "clinux.h"

static int count;
static char **arguments;

/* glibc calls constructors as it calls main. */
__attribute__((constructor)) static void keep(int argument_count, char **first, char **environment) {
    (void)environment;
    count = argument_count;
    arguments = first;
}

/* Swift's own, of which these two are all, looks for them in /proc/self/maps before main, at every start
 * (stdlib/public/stubs/CommandLine.cpp). */
char **_swift_stdlib_getUnsafeArgvArgc(int *argument_count) {
    *argument_count = count;
    return arguments;
}

void _swift_stdlib_overrideUnsafeArgvArgc(char **first, int argument_count) {
    count = argument_count;
    arguments = first;
}

int clinux_argument_count(void) {
    return count;
}

const char *clinux_argument(int index) {
    return index >= 0 && index < count ? arguments[index] : 0;
}
