/* libmosquitto as a Clang module; only mis-feed links it. */
#ifndef MIS_CMOSQUITTO_SHIM_H
#define MIS_CMOSQUITTO_SHIM_H

#include <mosquitto.h>
#include <mqtt_protocol.h>

#endif
