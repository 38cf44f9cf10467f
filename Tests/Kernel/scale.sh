#!/bin/bash
# Tier bpf in numbers (Tests/Integration/tier_bpf_scale.py), in one machine.
cd /payload/Tests/Integration || exit 1
mkdir -p /payload/out
export MIS=/payload/mis MIS_ROOT_TIER=bpf MIS_TEST_PATIENCE=8
[ -s /etc/machine-id ] || od -An -tx1 -N16 /dev/urandom | tr -d ' \n' >/etc/machine-id
ulimit -n 65536
timeout 300 $MIS run --require bpf -- true || exit 1
exec timeout 1400 python3 -B -m pytest -q -rfEs -p no:cacheprovider --durations=0 --junitxml=/payload/out/pytest.xml \
  tier_bpf_scale.py
