/* libcurl as a Clang module; only mis-feed links it. */
#ifndef MIS_CCURL_SHIM_H
#define MIS_CCURL_SHIM_H

#include <curl/curl.h>

#endif
