# Counting for suites that are shell scripts; sourced. `check NAME COMMAND...` is one test.
number=0
failed=0

check() {
  local name=$1 output
  shift
  number=$((number + 1))
  if output=$("$@" 2>&1); then
    echo "ok $number - $name"
  else
    echo "not ok $number - $name"
    printf '%s\n' "$output" | sed 's/^/# /'
    failed=$((failed + 1))
  fi
}

# The last line of a suite.
finish() {
  echo "1..$number"
  [ "$failed" = 0 ]
}
