/*
 * The finished seccomp filters inside the binary. seccomp-compiler writes the C file that goes with this header when
 * the package is built. Functions, because Swift cannot use an `extern const` array of unknown length.
 */
#ifndef MIS_SECCOMP_FILTERS_H
#define MIS_SECCOMP_FILTERS_H

#include <linux/filter.h>

/* What a number means to whoever answers seccomp notifications; see SeccompTable.Notice. */
#define MIS_SECCOMP_REFUSABLE 1
#define MIS_SECCOMP_OBSERVED 2
#define MIS_SECCOMP_COUNTS 4

/* The filter made for the policy of this index (SeccompPolicy.embeddedIndex); NULL and 0 beyond the last. */
const struct sock_filter *mis_seccomp_filter(unsigned int index, unsigned short *length);

/* One more than the highest system call number the table knows. */
unsigned int mis_seccomp_number_count(void);

/* The name of a system call, NULL when the table has none for this number. */
const char *mis_seccomp_name(unsigned int number);

/* MIS_SECCOMP_* bits of a number; 0 when it is never notified. */
unsigned char mis_seccomp_notice(unsigned int number);

#endif
