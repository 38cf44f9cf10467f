/* A process of the user's outside the sandbox, with a secret on its command line and in its environment. */
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(void) {
    prctl(PR_SET_NAME, "mis-neighbour");
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_DUMPABLE, 1);
    for (;;)
        pause();
}
