# What scripts/test.sh shows of ctest. Usage: source "$(dirname "$0")/test_output.sh"

# Reads what ctest says. Tests that pass or are skipped are a line that moves on a terminal, and nothing in a pipe;
# failures and the summary stay. Which tests were skipped is told by `skipped_tests`, in one line.
show_tests() {
  local line listing=0 moves=0 columns erase=""
  [[ -t 1 ]] && moves=1 && erase=$'\r\e[K' && columns="$(tput cols 2>/dev/null || echo 80)"
  while IFS= read -r line; do
    if [[ "$line" =~ ^\ *[0-9]+/[0-9]+\ Test\ +#[0-9]+:\ .*(\ Passed|\*\*\*Skipped)\ +[0-9.]+\ sec ]]; then
      ((moves)) && printf '%s%s' "$erase" "${line:0:columns-1}"
    elif [[ "$line" =~ ^Internal\ ctest|^\ +Start\ +[0-9]+: ]]; then
      :
    elif [[ "$line" == "The following tests did not run:" ]]; then
      listing=1
    elif ((listing)) && [[ "$line" == $'\t'* ]]; then
      :
    else
      listing=0
      printf '%s%s\n' "$erase" "$line"
    fi
  done
}

# skipped_tests FOLDER: one line of what was not run and why, from what ctest keeps in FOLDER.
skipped_tests() {
  local list="$1/LastTestsDisabled.log" gpu others
  [[ -s "$list" ]] || return 0
  gpu="$(grep -ci cuda "$list" || true)"
  others="$(sed '/cuda/Id; s/^[0-9]*://' "$list" | paste -sd ' ')"
  printf 'skipped: %d%s%s; which: %s, why: %s\n' "$(wc -l <"$list")" \
    "$([[ "$gpu" -gt 0 ]] && echo ", $gpu of them for want of a GPU")" "${others:+ (others: $others)}" \
    "$list" "$1/LastTest.log"
}
