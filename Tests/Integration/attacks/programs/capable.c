/* A program whose file may carry cap_net_raw: says by its status whether it has got it. */
#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{0}, {0}};
    if (syscall(SYS_capget, &header, data))
        return 2;
    return data[0].effective & 1 << CAP_NET_RAW ? 0 : 1;
}
