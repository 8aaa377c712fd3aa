/** How the script plans one file, and carries plans out. */
export const SCRIPT_APPLY: string = String.raw`# What stands in a file afterwards goes to $work/want, unless there is to be none; its line of the journal to $work/entries.
plan_of() { # PART, or nothing for a file that is to be as it was; PATH
  part=$1 path=$2 name=$(name_of "$2")
  base_of "$path"
  base=$work/base/$name want=$work/want/$name content=$work/content/$name
  if [ -z "$part" ]; then
    if has "$path" && is_shared "$path"; then cat "$ROOT$path" >"$want"
    elif [ -e "$base" ]; then cat "$base" >"$want"; fi
    return 0
  fi
  : >>"$work/empty"
  if [ -e "$base" ]; then from=$base; else from=$work/empty; fi
  refuse_clashes "$path"
  case $part in
    file)
      if [ -e "$base" ] && ! cmp -s "$base" "$content"; then
        refuse "$path is there already, or was changed since, and not by us: move it away, or write into it yourself:"
        sed 's/^/  /' "$content" >>"$work/reasons"
      fi
      cat "$content" >"$want" ;;
    block)
      below=$(cat "$work/below/$name")
      if [ -n "$below" ] && ! is_block_yaml "$from"; then
        refuse "$path: it is not a mapping in block form, so nothing is inserted: mend it, or add the endpoints yourself"
      fi
      awk -v client="$CLIENT" -v below="$below" -v content="$content" "$PUT_BLOCK" "$content" "$from" >"$want" ;;
    entry:*) put_entry "$path" "$(printf '%s' "$part" | cut -d : -f 2)" "$(printf '%s' "$part" | cut -d : -f 3-)" ;;
  esac
  if [ -e "$base" ]; then
    if cmp -s "$base" "$want"; then return 0; fi
    before=$(sha256 <"$base")
    [ -e "$work/kept/$name" ] || say "$path" >>"$work/copies"
  else before=-; fi
  rm -f "$work/kept/$name"
  say "edit $part $before $(sha256 <"$want") $path" >>"$work/entries"
}

put_entry() {
  if KEY=$2 VALUE=$3 awk "$PUT_ENTRY" "$from" >"$want" </dev/null; then return 0; else status=$?; fi
  case $status in
    3) refuse "$1 is not valid JSON, comments included: mend it first" ;;
    4) refuse "$1: expected a JSON object" ;;
    5) refuse "$1: $2 is no list: write [\"$3\"] there" ;;
    *) die "awk failed" ;;
  esac
}

# Keys at the top, each on a line of its own, and nothing else that is not indented.
is_block_yaml() { ! grep -v '^[ 	]*$\|^[ 	]*#\|^ \|^---' "$1" | grep -qv "^[A-Za-z\"'][A-Za-z0-9_\"'-]*[ 	]*:\\([ 	].*\\)*\$"; }

refuse_clashes() {
  clashes=$work/clashes/$(name_of "$1")
  [ -e "$clashes" ] || return 0
  while IFS= read -r other && IFS= read -r below && IFS= read -r pattern && IFS= read -r advice; do
    text=$ROOT$other
    if [ "$other" = "$1" ]; then text=$from; fi
    if [ ! -e "$text" ]; then continue; fi
    line=$(BELOW=$below PATTERN=$pattern awk '
      { line = $0 }
      line ~ /^[ \t]*# layover setup [a-z0-9]+: begin$/ { marked = 1 }
      marked { if (line ~ /^[ \t]*# layover setup [a-z0-9]+: end$/) marked = 0; next }
      match(line, /^[^ \t#][^:]*/) { heading = substr(line, 1, RLENGTH) }
      ENVIRON["BELOW"] != "" && heading != ENVIRON["BELOW"] { next }
      tolower(line) ~ tolower(ENVIRON["PATTERN"]) { print NR; exit }' "$text")
    if [ -n "$line" ]; then refuse "$other:$line: $advice"; fi
  done <"$clashes"
}

# Whole or not at all, with the mode and the owner of the file that stands there; like MODEL, with its times too.
put() { # SOURCE PLACE [MODEL]
  temporary=$2.layover-new model=$2
  if [ $# -eq 3 ]; then model=$3; fi
  if [ -e "$model" ]; then
    cp -p "$model" "$temporary"
    cat "$1" >"$temporary"
    if [ $# -eq 3 ]; then touch -r "$model" "$temporary"; fi
  else
    cat "$1" >"$temporary"
    chmod 644 "$temporary"
  fi
  # A file that is a mount of its own, as /etc/hosts in containers, is written in its place.
  mv -f "$temporary" "$2" 2>/dev/null || { cat "$temporary" >"$2"; rm -f "$temporary"; }
}

missing() { # the directories that have to be made for a path, outer ones first
  above=$(dirname "$1")
  has "$above" || { (missing "$above"); say "$above"; }
}
is_above() { case $2 in "$1"/*) return 0 ;; *) return 1 ;; esac; }
is_needed() {
  awk '{ print $5 }' "$2" >"$work/paths"
  while IFS= read -r needed; do if is_above "$1" "$needed"; then return 0; fi; done <"$work/paths"
  return 1
}
by_length() { awk '!seen[$0]++ { print length($0) "\t" $0 }' | sort -n -s -k 1,1 | cut -f 2-; }
backwards() { awk '{ lines[NR] = $0 } END { for (i = NR; i > 0; i--) print lines[i] }'; }

directories_for() {
  [ ! -e "$own/journal" ] || sed -n 's/^dir //p' "$own/journal"
  { awk '{ print $5 }' "$work/entries"; say /var/lib/layover-setup; } >"$work/needs"
  for other in "$STATE"/*/journal; do
    if [ "$other" = "$own/journal" ] || [ ! -e "$other" ]; then continue; fi
    sed -n 's/^dir //p' "$other" | while IFS= read -r directory; do
      while IFS= read -r path; do if is_above "$directory" "$path"; then say "$directory"; break; fi; done <"$work/needs"
    done
  done
  while IFS= read -r path; do missing "$path"; done <"$work/needs"
}

journal() { # STATE ENTRIES
  { say "layover setup 1 $1"; sed 's/^/dir /' "$work/directories"; cat "$2"; } >"$work/journal"
  put "$work/journal" "$own/journal"
}

# While files are changed, each may stand as it did or as it will.
during() {
  while read -r edit part before after path; do
    # shellcheck disable=SC2046
    set -- $(entry_in "$own/journal" "$path")
    if [ $# -eq 3 ] && ! holds "$3" "$after"; then after=$3,$after; fi
    say "$edit $part $before $after $path"
  done <"$work/entries"
  [ ! -e "$own/journal" ] || awk -v entries="$work/entries" 'FILENAME == entries { kept[$5] = 1; next } $1 == "edit" && !($5 in kept)' "$work/entries" "$own/journal"
}

apply() {
  directories_for | by_length >"$work/directories"
  during >"$work/during"
  mkdir -p "$own"
  awk '{ print $5 }' "$work/during" | while IFS= read -r path; do rm -f "$(place_of "$path").layover-new"; done
  if [ -s "$work/copies" ]; then (umask 077 && mkdir -p "$own/before"); fi
  while IFS= read -r path; do
    put "$work/base/$(name_of "$path")" "$own/before/$(name_of "$path")" "$(place_of "$path")"
  done <"$work/copies"
  journal unfinished "$work/during"
  while IFS= read -r path; do
    if is_needed "$path" "$work/entries"; then has "$path" || mkdir -m 755 "$ROOT$path"; fi
  done <"$work/directories"
  while IFS= read -r path; do
    name=$(name_of "$path") place=$(place_of "$path")
    if [ ! -e "$work/want/$name" ]; then rm -f "$place"
    elif [ -e "$work/kept/$name" ]; then put "$work/want/$name" "$place" "$own/before/$name"
    else put "$work/want/$name" "$place"; fi
  done <"$work/changes"
  run_commands
  close
}

run_commands() {
  failed=
  if [ -n "$ROOT" ]; then return 0; fi
  while IFS= read -r command; do
    sh -c "$command" >"$work/output" 2>&1 </dev/null || { failed=1; say "layover: $command failed; run this again once it works" >&2; cat "$work/output" >&2; }
  done <"$work/run"
}

close() {
  if [ -n "$failed" ]; then journal unfinished "$work/during"; exit 1; fi
  backwards <"$work/directories" | while IFS= read -r path; do
    if is_above "$path" "/var/lib/layover-setup" || is_needed "$path" "$work/entries"; then continue; fi
    rmdir "$ROOT$path" 2>/dev/null || true
  done
  while IFS= read -r path; do if has "$path"; then say "$path"; fi; done <"$work/directories" >"$work/left-over"
  cat "$work/left-over" >"$work/directories"
  if [ -s "$work/entries" ]; then journal "done" "$work/entries"; else forget; fi
}

forget() {
  rm -rf "$own"
  rmdir "$STATE" 2>/dev/null || true
  backwards <"$work/directories" | while IFS= read -r path; do rmdir "$ROOT$path" 2>/dev/null || true; done
}
`;
