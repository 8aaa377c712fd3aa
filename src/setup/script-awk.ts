/** How the script inserts, as `putEntry`, `takeEntry` and `putBlock` do. */
export const SCRIPT_AWK: string = String.raw`# Regular expressions that match the entry by itself: neighbours keep their commas.
TAKE_ENTRY='
  BEGIN { RS = "\001" }
  {
    value = "\"" ENVIRON["VALUE"] "\""
    gsub(/[][*.+?^$(){}|]/, "\\\\&", value)
    s = "[ \t\r\n]*"
    member = "\"" ENVIRON["KEY"] "\"" s ":" s "[[]" s value s "[]]"
    form[1] = s member s ","; form[2] = s "," s member; form[3] = s member s
    form[4] = value s "," s; form[5] = s "," s value
    for (i = 1; i <= 5; i++) if (match($0, form[i])) {
      printf "%s%s", substr($0, 1, RSTART - 1), substr($0, RSTART + RLENGTH)
      next
    }
    printf "%s", $0
  }'

# A whole JSON object with VALUE in front of the list at KEY; exit code 3: no JSON, 4: no object, 5: no list.
PUT_ENTRY='
  BEGIN { RS = "\001" }
  { text = text $0 }
  function space() { while (pos <= length(text) && index(" \t\r\n", substr(text, pos, 1))) pos++ }
  function bad() { broken = 1; pos = length(text) + 1 }
  function quoted(   c) {
    for (pos++; pos <= length(text); pos++) {
      c = substr(text, pos, 1)
      if (c == "\\") {
        c = substr(text, ++pos, 1)
        if (c == "u" && match(substr(text, pos + 1, 4), /^[0-9a-fA-F][0-9a-fA-F][0-9a-fA-F][0-9a-fA-F]$/)) continue
        if (c == "" || !index("\"\\/bfnrt", c)) break
      } else if (c == "\"") { pos++; return }
      else if (c < " ") break
    }
    bad()
  }
  function value(depth,   open, close_, c, at, key) {
    space()
    open = substr(text, pos, 1)
    if (open == "\"") quoted()
    else if (open == "{" || open == "[") {
      close_ = open == "{" ? "}" : "]"
      pos++; space()
      if (substr(text, pos, 1) == close_) { pos++; return }
      while (!broken) {
        space(); key = ""
        if (open == "{") {
          at = pos
          if (substr(text, pos, 1) != "\"") { bad(); return }
          quoted(); key = substr(text, at + 1, pos - at - 2); space()
          if (substr(text, pos, 1) != ":") { bad(); return }
          pos++; space()
        }
        at = pos
        value(depth + 1)
        if (depth == 0 && open == "{" && key == ENVIRON["KEY"]) { from = at; to = pos }
        space()
        c = substr(text, pos++, 1)
        if (c == close_) return
        if (c != ",") bad()
      }
    } else if (match(substr(text, pos), /^(true|false|null|-?(0|[1-9][0-9]*)([.][0-9]+)?([eE][-+]?[0-9]+)?)/)) pos += RLENGTH
    else bad()
  }
  END {
    wanted = "\"" ENVIRON["VALUE"] "\""; member = "\"" ENVIRON["KEY"] "\": [" wanted "]"
    if (text ~ /^[ \t\r\n]*([{][ \t\r\n]*[}])?[ \t\r\n]*$/) { printf "{\n  %s\n}\n", member; exit 0 }
    pos = 1; value(0); space()
    if (broken || pos <= length(text)) exit 3
    match(text, /^[ \t\r\n]*/); start = RLENGTH + 1
    if (substr(text, start, 1) != "{") exit 4
    if (from && substr(text, from, 1) != "[") exit 5
    if (from && index(substr(text, from, to - from), wanted)) { printf "%s", text; exit 0 }
    at = from ? from : start
    match(substr(text, at + 1), /^[ \t\r\n]*/); gap = substr(text, at + 1, RLENGTH); rest = substr(text, at + 1 + RLENGTH)
    printf "%s", substr(text, 1, at)
    if (!from) printf "%s%s,%s%s", gap, member, gap, rest
    else if (substr(rest, 1, 1) == "]") printf "%s%s", wanted, rest
    else printf "%s%s,%s%s", gap, wanted, gap == "" ? " " : gap, rest
  }'

# The text with our lines between marks: last, or first under the key "below" of a YAML mapping.
PUT_BLOCK='
  BEGIN { begin = "# layover setup " client ": begin"; end = "# layover setup " client ": end" }
  FNR == 1 { part++ }
  FILENAME == content { lines[++count] = $0; next }
  { text[++size] = $0 }
  END {
    for (at = 1; below != "" && at <= size; at++) if (text[at] ~ "^" below "[ \t]*:[ \t]*(#.*)?$") break
    if (below == "" || at > size) {
      for (i = 1; i <= size; i++) print text[i]
      print begin
      if (below != "") { print below ":"; indent = "  " }
      for (i = 1; i <= count; i++) print (lines[i] == "" ? "" : indent lines[i])
      print end
      exit
    }
    indent = "  "
    for (i = at + 1; i <= size; i++) if (text[i] !~ /^[ \t]*(#.*)?$/) {
      if (match(text[i], /^ +[^ #]/)) indent = substr(text[i], 1, RLENGTH - 1)
      break
    }
    for (i = 1; i <= at; i++) print text[i]
    print indent begin
    for (i = 1; i <= count; i++) print (lines[i] == "" ? "" : indent lines[i])
    print indent end
    for (i = at + 1; i <= size; i++) print text[i]
  }'
`;
