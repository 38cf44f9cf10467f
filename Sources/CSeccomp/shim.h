/* libseccomp as a Clang module: Swift cannot read a system header that has no module map. */
#ifndef MIS_CSECCOMP_SHIM_H
#define MIS_CSECCOMP_SHIM_H

#include <seccomp.h>

#endif
