#!/bin/bash
# Each race of race.c against a sandbox: $1 rounds (5000). Runs in the machine, with the payload in /payload.
rounds=${1:-5000} bad=0
arbiter=/payload/arbiter-exercise
"$arbiter" load
for mode in symlink rename folder parent file inner leaf bind; do
  umount -q /w/a/race/mount /w/remount /w/mnt 2>/dev/null; rm -rf /w; mkdir -p /w/a/race /w/secret/m
  echo PUBLIC >/w/a/f; echo SECRET >/w/secret/s; echo SECRET >/w/secret/m/f
  case $mode in
    symlink) ln -s /w/a/f /w/a/race/name ;;
    rename) echo PUBLIC >/w/a/race/name; echo SECRET >/w/a/race/other ;;
    folder) mkdir /w/a/race/dir /w/a/race/dir2; echo PUBLIC >/w/a/race/dir/f; echo SECRET >/w/a/race/dir2/f ;;
    parent) mkdir /w/a/race/moving; echo MOVING >/w/a/race/moving/f ;;
    inner) mkdir /w/a/race/hidden; echo SECRET >/w/a/race/hidden/f; echo PUBLIC >/w/a/race/name ;;
    leaf) echo SECRET >/w/a/race/hidden; echo PUBLIC >/w/a/race/name ;;
    file) echo MOVING >/w/a/race/moving ;;
    bind) mkdir /w/a/race/mount; echo PUBLIC >/w/a/race/mount/f ;;
  esac
  rules=(--rule rx:/usr --rule r:/etc --rule rx:/payload --rule rw:/dev --rule rw:/w --rule -:/w/secret --rule r:/proc)
  case $mode in
    rename) rules+=(--rule -:/w/a/race/other) ;;
    folder) rules+=(--rule -:/w/a/race/dir2) ;;
    inner | leaf) rules+=(--name '-:**/hidden') ;;
  esac
  /payload/race swap $mode "$rounds" & swapper=$!
  start=$(date +%s%N)
  "$arbiter" run "${rules[@]}" --counters -- /payload/race read $mode || { echo "FAILED $mode: $?"; bad=1; }
  wait $swapper || { echo "FAILED $mode: the attacker could not attack"; bad=1; }
  echo "$mode: $rounds rounds in $(( ($(date +%s%N) - start) / 1000000 )) ms"
done
exit $bad
