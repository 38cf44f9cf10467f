#include "policy_filter.h"
