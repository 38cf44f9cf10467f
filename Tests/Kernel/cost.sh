#!/bin/bash
# Instructions for open+close and read, paired in one boot (run the machine with --icount). Prints a table.
A=/payload/arbiter-exercise C=/payload/cost
mkdir -p /w/a/b/c/d/e/f /w/cold /sys/fs/cgroup/plain; echo x >/w/f; echo x >/w/a/b/c/d/e/f/g
for i in $(seq 0 499); do echo x >/w/cold/$i; done
in_plain() { (echo 0 >/sys/fs/cgroup/plain/cgroup.procs; exec "$@"); }
shallow=/w/f deep=/w/a/b/c/d/e/f/g
rules=(--rule rx:/usr --rule rx:/payload --rule r:/etc --rule rw:/dev --rule rw:/w)
row() { printf '%-46s %8s %8s %8s %8s\n' "$@"; }
four() { # label, command prefix...
  local label=$1; shift
  row "$label" "$("$@" $C open $shallow)" "$("$@" $C open $deep)" "$("$@" $C read $shallow)" "$("$@" $C cold /w/cold)"
}
row '' 'depth 2' 'depth 8' read cold
four 'no programs, plain cgroup' in_plain
row 'landlock, plain cgroup' "$(in_plain $C landlock $shallow)" "$(in_plain $C landlock $deep)" - -
$A load >/dev/null
four 'programs, no sandbox on the machine' in_plain
held() { # extra options: outside, beside a sandbox; then inside
  rm -f /tmp/stop
  $A run "${rules[@]}" "$@" -- /bin/sleep 100000 >/dev/null 2>&1 & local run=$!
  for _ in $(seq 200); do [ "$($A collect | sed 's/.*sandboxes //')" -gt 0 ] && break; sleep 1; done
  sleep 2
  four "outside, beside a sandbox ${*}" in_plain
  kill $run; wait $run 2>/dev/null
  for g in /sys/fs/cgroup/exercise-* /sys/fs/cgroup/crowd-*; do [ -d "$g" ] && { echo 1 >$g/cgroup.kill; sleep 0.2; rmdir $g; }; done
  four "inside ${*}" $A run "${rules[@]}" "$@" --
}
held
[ -n "$QUICK" ] || held --extra-sandboxes 1000
