/*
 * No backtraces by Swift's runtime.
 *
 * When a program crashes, the runtime starts another, swift-backtrace, of which SWIFT_BACKTRACE tells it or which it
 * looks for around the executable, before main, at every start (stdlib/public/runtime/Backtrace.cpp). mis is often
 * started by root, and comes without one: nothing that the environment names shall run in its place. A linker that has
 * found these two does not take the file from the static library. Hidden: where the runtime is a library of its own, as
 * in tests, it has its own.
 */
#define hidden __attribute__((visibility("hidden")))

/* As large as any version's. All zero says that backtraces are off. */
extern hidden const long _swift_backtraceSettings[32];
const long _swift_backtraceSettings[32];

/* By this name every program asks for the file. */
hidden _Bool _swift_backtrace_isThunkFunction(const char *name);
_Bool _swift_backtrace_isThunkFunction(const char *name) {
    (void)name;
    return 0;
}
