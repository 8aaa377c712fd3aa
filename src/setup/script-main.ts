/** The command line of the script, and what it prints. */
export const SCRIPT_MAIN: string = String.raw`fetch() { if command -v curl >/dev/null; then curl -fsS --max-time 10 "$1"; else wget -q -T 10 -O - "$1"; fi; }

digits() { printf '%s' "$1" | tr -d : | tr a-f A-F; }
decoded() { awk '!/-----/' "$1" | if command -v base64 >/dev/null; then base64 -d; else openssl base64 -d; fi; }

# Of what the gateway offers, without encryption, only what was pinned; one file for each root.
fetch_roots() {
  fetch "$URL/ca.crt" >"$work/ca.crt" || die "$URL/ca.crt cannot be fetched"
  awk -v dir="$work/offered/" '{ sub(/\r$/, "") } /-----BEGIN CERTIFICATE-----/ { n++; out = dir n } out { print >out }
    /-----END CERTIFICATE-----/ { close(out); out = "" }' "$work/ca.crt"
  for one in "$work"/offered/*; do
    [ -e "$one" ] || die "$URL/ca.crt holds no certificate"
    pin=$(decoded "$one" | sha256 | tr a-f A-F)
    case " $PINS " in
      *" $pin "*)
        cp "$one" "$work/root/layover-$(printf '%.8s' "$pin" | tr A-F a-f).crt"
        found="$found $pin" ;;
      *) offered="$offered $pin" ;;
    esac
  done
  for pin in $PINS; do
    case "$found " in
      *" $pin "*) ;;
      *) die "$URL/ca.crt offers$offered$found, which is not what --fingerprint says: compare with \"layover ca fingerprint\" on the gateway" ;;
    esac
  done
  cat "$work"/root/* >"$work/roots"
}

usage() {
  cat >&2 <<EOF
usage: curl -fsS $URL/setup.sh | sh -s -- --fingerprint SHA256 CLIENT
  CLIENT: $CLIENTS
  [--mode auto|mirror|transparent] [--default] [--apply] [--undo] [--root DIR]
Nothing is changed without --apply; --undo --apply takes it out again, and needs no fingerprint.
EOF
  exit 2
}

shown() { awk '/-----BEGIN CERTIFICATE-----/ { print "(the certificate of the gateway)"; inside = 1 } !inside { print } /-----END CERT/ { inside = 0 }' "$1"; }

show() {
  from=$work/none to=$work/none name=$(name_of "$1")
  : >"$from"
  if has "$1"; then shown "$ROOT$1" >"$work/from"; from=$work/from; fi
  if [ -e "$work/want/$name" ]; then shown "$work/want/$name" >"$work/to"; to=$work/to; fi
  say
  say "--- $1"
  if command -v diff >/dev/null; then diff -U 2 "$from" "$to" | sed 1,2d; else cat "$to"; fi
}

listed() { # TITLE FILE
  if [ ! -s "$2" ]; then return 0; fi
  say
  say "$1:"
  sed 's/^/  /' "$2"
}

main() {
  CLIENT='' MODE=auto ROOT='' PINS='' APPLY='' UNDO='' DEFAULT='' found='' offered=''
  while [ $# -gt 0 ]; do
    case $1 in
      --fingerprint) if [ $# -lt 2 ]; then usage; fi; PINS="$PINS $(digits "$2")"; shift ;;
      --mode) if [ $# -lt 2 ]; then usage; fi; MODE=$2; shift ;;
      --root) if [ $# -lt 2 ]; then usage; fi; ROOT=$(cd "$2" && pwd); shift ;;
      --apply) APPLY=1 ;;
      --undo) UNDO=1 ;;
      --default) DEFAULT=default ;;
      -*) usage ;;
      *) if [ -n "$CLIENT" ]; then usage; fi; CLIENT=$1 ;;
    esac
    shift
  done
  if [ "$ROOT" = / ]; then ROOT=; fi
  case " $CLIENTS " in *" $CLIENT "*) ;; *) usage ;; esac
  case " auto mirror transparent " in *" $MODE "*) ;; *) usage ;; esac
  if [ -n "$APPLY" ] && [ -z "$ROOT" ] && [ "$(id -u)" != 0 ]; then die 'changing this machine takes root: put sudo in front of sh'; fi
  STATE=$ROOT/var/lib/layover-setup
  own=$STATE/$CLIENT
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  trap 'exit 1' HUP INT TERM
  mkdir "$work/base" "$work/want" "$work/content" "$work/below" "$work/clashes" "$work/kept" "$work/root" "$work/offered"
  for list in edits entries copies reasons know left down run changes touched directories; do : >"$work/$list"; done
  if [ -e "$own/journal" ] && ! head -n 1 "$own/journal" | grep -q '^layover setup 1 '; then
    die "$own/journal was written by another version of layover setup"
  fi
  survey
  if [ -n "$UNDO" ]; then
    way "what was set up is taken out"
  else
    if [ -z "$PINS" ]; then usage; fi
    fetch_roots
    recipe
  fi
  plan
  report
}

plan() {
  cat "$work/edits" >"$work/all"
  [ ! -e "$own/journal" ] || awk -v edits="$work/edits" '
    FILENAME == edits { part[$2] = $1; order[++n] = $2; next }
    $1 == "edit" { if ($5 in part) print part[$5], $5; else print "-", $5; done[$5] = 1 }
    END { for (i = 1; i <= n; i++) if (!(order[i] in done)) print part[order[i]], order[i] }' "$work/edits" "$own/journal" >"$work/all"
  while read -r part path; do
    if [ "$part" = - ]; then part=; fi
    place_of "$path" >/dev/null
    plan_of "$part" "$path"
  done <"$work/all"
  if [ -s "$work/reasons" ]; then cat "$work/reasons" >&2; exit 2; fi
  while read -r part path; do
    name=$(name_of "$path")
    if has "$path" && [ -e "$work/want/$name" ] && cmp -s "$ROOT$path" "$work/want/$name"; then continue; fi
    has "$path" || [ -e "$work/want/$name" ] || continue
    say "$path" >>"$work/changes"
    if [ -e "$work/want/$name" ]; then say "changed $path"; else say "gone $path"; fi >>"$work/touched"
  done <"$work/all"
  if [ -e "$own/journal" ] && ! head -n 1 "$own/journal" | grep -q ' done$'; then
    unfinished=1
    awk '$1 == "edit" { print $5 }' "$own/journal" | while IFS= read -r path; do
      if has "$path"; then say "changed $path"; else say "gone $path"; fi
    done >>"$work/touched"
  else unfinished=; fi
  consequences
}

# A file that is there already may have to be noted as ours too.
is_noted() {
  if [ ! -e "$own/journal" ]; then [ ! -s "$work/entries" ]; return; fi
  sed -n '/^edit /p' "$own/journal" | cmp -s - "$work/entries"
}

report() {
  while IFS= read -r path; do show "$path"; done <"$work/changes"
  if [ ! -s "$work/changes" ] && [ -z "$unfinished" ] && is_noted; then
    say
    say 'nothing to change'
    if [ -n "$APPLY" ] && [ -n "$UNDO" ]; then
      [ ! -e "$own/journal" ] || sed -n 's/^dir //p' "$own/journal" >"$work/directories"
      forget
    fi
    APPLY='' unchanged=1
  else unchanged=; fi
  if [ -n "$ROOT" ]; then listed 'to be run inside, since nothing is run for another root' "$work/run"
  else listed 'commands' "$work/run"; fi
  listed 'left to you' "$work/left"
  listed 'to know' "$work/know"
  listed 'while the gateway is down' "$work/down"
  if [ -n "$APPLY" ]; then apply; say; say 'done'
  elif [ -z "$unchanged" ]; then say; say 'nothing was changed; add --apply to do it'; fi
}

main "$@"
`;
