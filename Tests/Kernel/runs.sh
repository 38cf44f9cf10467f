#!/bin/bash
# The suites of `mis run`, in one machine: root's runs are in tier bpf and nothing else will do, an ordinary user's in tier
# landlock. Shown on the machine that builds, and not again here: the attacks' controls and single layers, attacks on an
# ordinary user's sandbox, runs through sudo, and what is the same on every kernel (arguments, profiles, other people's
# programs, the relay of what an agent prints, an ordinary user's orphans and policies that end). The posture is golden
# for one machine's disk, absurd arguments and large programs take minutes of emulation.
cd /payload/Tests/Integration || exit 1
mkdir -p /payload/out
# Forks, and everything else, take many times longer here.
export MIS=/payload/mis MIS_ROOT_TIER=bpf MIS_TEST_PATIENCE=8
# A container's bare root disk has none, and what is there has to be hidden.
[ -s /etc/machine-id ] || od -An -tx1 -N16 /dev/urandom | tr -d ' \n' >/etc/machine-id
# Loading takes long in emulation; no test has to wait for it.
timeout 300 $MIS run --require bpf -- true || exit 1
exec timeout 1700 python3 -B -m pytest -q -rfEs -p no:cacheprovider --durations=15 --junitxml=/payload/out/pytest.xml \
  -k "not test_control and not test_layer and not test_posture and not test_document and not test_absurd and not test_a_large_program \
and not sudo and not test_a_flood and not (user and (test_inside or test_orphans or test_an_exception))" \
  tier_bpf.py test_policy.py test_policy_calls.py test_policy_swap.py test_policy_table.py test_exit_status.py test_record.py test_lifecycle.py test_swapped_paths.py \
  test_attack_*.py
