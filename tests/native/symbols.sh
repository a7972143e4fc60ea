#!/bin/sh
# symbols.sh name=object...
# Every object of an instruction set may define one external symbol, its table getter. Any
# other one, weak ones above all (inline functions and templates of shared headers), could be
# the copy that the linker keeps for everybody, and it may hold instructions that an older
# processor does not have. Nor may a kernel call what allocates, throws, prints or locks.
set -eu
NM=${NM:-nm}
status=0
for pair in "$@"; do
  name=${pair%%=*}
  object=${pair#*=}
  symbols=$("$NM" -C "$object")
  defined=$(printf '%s\n' "$symbols" | grep -E ' [A-TV-Zuvw] ' | grep -vE ' [NU] ' || true)
  wanted=$(printf '%s\n' "$defined" | grep -cE " T pantiny::cpu_table_$name\(\)\$" || true)
  others=$(printf '%s\n' "$defined" | grep -vE " T pantiny::cpu_table_$name\(\)\$" | grep . || true)
  calls=$(printf '%s\n' "$symbols" | grep -E ' U ' |
    grep -E 'operator new|operator delete|malloc|free|__cxa|__gxx|std::|printf|pthread|getenv' || true)
  if [ "$wanted" != 1 ]; then
    echo "$name: does not define pantiny::cpu_table_$name()"
    status=1
  fi
  if [ -n "$others" ]; then
    printf '%s: defines more than its table:\n%s\n' "$name" "$others"
    status=1
  fi
  if [ -n "$calls" ]; then
    printf '%s: calls what a kernel must not:\n%s\n' "$name" "$calls"
    status=1
  fi
done
[ "$#" -gt 0 ] || { echo "usage: symbols.sh name=object..."; exit 2; }
exit $status
