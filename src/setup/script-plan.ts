/** What the script knows of files: what would stand in them without us. POSIX sh, without braces around variables and without backquotes. */
export const SCRIPT_PLAN: string = String.raw`say() { printf '%s\n' "$*"; }
die() { printf 'layover: %s\n' "$*" >&2; exit 2; }
refuse() { printf '%s\n' "$*" >>"$work/reasons"; }
name_of() { printf '%s' "$1" | tr / %; }
has() { [ -e "$ROOT$1" ]; }
is_program() {
  for directory in /usr/sbin /usr/bin /sbin /bin /usr/local/sbin /usr/local/bin; do
    if has "$directory/$1"; then return 0; fi
  done
  return 1
}

# SHA-256 of standard input in hexadecimal.
sha256() {
  if command -v sha256sum >/dev/null; then sha256sum; else openssl dgst -sha256 -r; fi | cut -d ' ' -f 1
}

# Of a symbolic link its target, so that it stays one; in an image it would lead out of it.
place_of() {
  if [ ! -L "$ROOT$1" ]; then printf '%s' "$ROOT$1"; return; fi
  [ -z "$ROOT" ] || die "$1 is a symbolic link there, which might lead out of it: change its target yourself"
  readlink -f "$1"
}

# What a recipe says: way TEXT, down TEXT, left TEXT, know TEXT, and its edits.
way() { say "$CLIENT: $*"; }
down() { say "$*" >>"$work/down"; }
left() { say "$*" >>"$work/left"; }
know() { say "$*" >>"$work/know"; }
file() { wanted file "$1"; cat >"$work/content/$(name_of "$1")"; }
block() { wanted block "$1"; printf '%s' "$2" >"$work/below/$(name_of "$1")"; cat >"$work/content/$(name_of "$1")"; }
entry() { wanted "entry:$2:$3" "$1"; }
wanted() { say "$1 $2" >>"$work/edits"; }
# clash FILE-OF-THE-EDIT FILE BELOW PATTERN ADVICE
clash() { printf '%s\n%s\n%s\n%s\n' "$2" "$3" "$4" "$5" >>"$work/clashes/$(name_of "$1")"; }
roots() { for one in "$work"/root/*; do file "$TRUST/$(basename "$one")" <"$one"; done; }

# The line "part before after" of a journal about a file, if there is one.
entry_in() { [ ! -e "$1" ] || awk -v path="$2" '$1 == "edit" && $5 == path { print $2, $3, $4 }' "$1"; }

is_shared() {
  for other in "$STATE"/*/journal; do
    if [ "$other" = "$own/journal" ] || [ ! -e "$other" ]; then continue; fi
    # shellcheck disable=SC2046
    set -- "$1" $(entry_in "$other" "$1")
    if [ $# -gt 1 ] && [ "$2" = file ] && holds "$4" "$(sha256 <"$ROOT$1")"; then return 0; fi
    set -- "$1"
  done
  return 1
}
holds() { case ",$1," in *",$2,"*) return 0 ;; *) return 1 ;; esac; }

# What would stand in a file without us goes to $work/base, unless there would be none.
base_of() {
  base=$work/base/$(name_of "$1") now=$ROOT$1
  has "$1" || return 0
  # shellcheck disable=SC2046
  set -- "$1" $(entry_in "$own/journal" "$1")
  if { [ $# -eq 1 ] || [ "$2" != block ]; } && is_shared "$1"; then return 0; fi
  cat "$now" >"$base"
  if [ $# -eq 1 ]; then return 0; fi
  digest=$(sha256 <"$now") copy=$own/before/$(name_of "$1")
  if [ "$digest" = "$3" ]; then return 0; fi
  if holds "$4" "$digest"; then
    if [ "$3" = - ]; then rm "$base"; return 0; fi
    if [ -e "$copy" ] && [ "$(sha256 <"$copy")" = "$3" ]; then
      cat "$copy" >"$base"
      : >"$work/kept/$(name_of "$1")"
      return 0
    fi
  fi
  take_out "$2" "$1" "$base"
  if [ "$3" = - ] && [ -z "$(tr -d ' \t\r\n{}' <"$base")" ]; then rm "$base"; fi
}

# Somebody changed the file since: only our part may go.
take_out() {
  case $1 in
    file) know "$2 was changed since by somebody else, and stays as it is" ;;
    block)
      if grep -q "^[ 	]*# layover setup $CLIENT: begin\$" "$3" && grep -q "^[ 	]*# layover setup $CLIENT: end\$" "$3"; then
        awk -v begin="# layover setup $CLIENT: begin" -v end="# layover setup $CLIENT: end" '
          { line = $0; gsub(/^[ \t]+|[ \t\r]+$/, "", line) }
          line == begin && !done { inside = 1 }
          !inside { print }
          line == end { if (inside) done = 1; inside = 0 }' "$3" >"$work/new"
        cat "$work/new" >"$3"
      else know "$2 was changed since: our marks were not found, so nothing is taken out"; fi ;;
    entry:*)
      set -- "$2" "$3" "$(printf '%s' "$1" | cut -d : -f 2)" "$(printf '%s' "$1" | cut -d : -f 3-)"
      KEY=$3 VALUE=$4 awk "$TAKE_ENTRY" "$2" >"$work/new"
      if cmp -s "$2" "$work/new"; then know "$1 was changed since: $4 in $3 was not found, so nothing is taken out"; fi
      cat "$work/new" >"$2" ;;
  esac
}

`;
