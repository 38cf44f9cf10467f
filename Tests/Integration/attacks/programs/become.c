/* A set-uid root program: says by its status whether running it has made somebody root. */
#include <unistd.h>

int main(void) {
    return geteuid() == 0 ? 0 : 1;
}
