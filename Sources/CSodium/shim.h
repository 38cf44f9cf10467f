// libsodium, for SHA-256 and signatures. Debian's libsodium-dev has the static library the static executable needs.
#include <sodium.h>
