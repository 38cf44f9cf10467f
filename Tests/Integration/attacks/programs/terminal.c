/* Class N: what a program does to the terminal it is started from. */
#include "attack.h"
#include <termios.h>

/* Types a command into the terminal on stdin, by every way there is. */
static void type_into(void) {
    static const char text[] = "touch attack-typed\n";
    long typed = 0;
    for (const char *each = text; *each && typed >= 0; each++)
        typed = ioctl(0, TIOCSTI, each);
    step("TIOCSTI on stdin", typed);
    int fd = open("/dev/tty", O_RDWR);
    near("own terminal", fd);
    step("TIOCSTI on /dev/tty", ioctl(fd, TIOCSTI, text));
    step("TIOCSTI on stdout", ioctl(1, TIOCSTI, text));
    struct winsize size;
    near("window size", ioctl(0, TIOCGWINSZ, &size));
    near("a terminal", isatty(0) && isatty(1) ? 0 : -1);
}

/* Leaves raw mode, no echo and strange characters behind. */
static void spoil(void) {
    struct termios settings;
    near("settings", tcgetattr(0, &settings));
    cfmakeraw(&settings);
    settings.c_lflag &= ~(tcflag_t)(ECHO | ICANON | ISIG);
    near("raw mode", tcsetattr(0, TCSANOW, &settings));
}

/* The terminals it can see: its own, and none of the host's. */
static void others(void) {
    char name[64];
    for (int each = 0; each < 64; each++) {
        snprintf(name, sizeof name, "/dev/pts/%d", each);
        struct stat about, own;
        if (stat(name, &about) == 0 && (fstat(0, &own) || about.st_rdev != own.st_rdev || about.st_dev != own.st_dev)) {
            step("another terminal", close_if_open(open(name, O_RDWR | O_NOCTTY)));
            return;
        }
    }
    refused("another terminal", "ENOENT");
    near("a new terminal", close_if_open(posix_openpt(O_RDWR | O_NOCTTY)));
}

ATTACKS({"C188", type_into}, {"C188b", spoil}, {"C188c", others})
