# Doxygen's input filter: comments of headers are plain //, and this makes them documentation. That is, a comment directly
# above a declaration, one behind it (and its continuation, in the same column), and the one at the top of a file. Lines that
# are indented, after an empty one or a colon, are code.
function is_comment(text) { return text ~ /^ *\/\/( |$)/ }

# Text as Doxygen shows it unchanged, except for what is between backquotes.
function escaped(text, parts, count, i, result) {
  count = split(text, parts, "`")
  for (i = 1; i <= count; ++i) {
    if (i % 2 == 1) gsub(/[<>&#]/, "\\\\&", parts[i])
    result = result (i > 1 ? "`" : "") parts[i]
  }
  return result
}

# A block of comments, lines first to last, behind "///". Indented code stands behind an empty line.
function print_block(first, last, i, text, indent, is_code, after) {
  is_code = 0
  after = "none"
  for (i = first; i <= last; ++i) {
    match(line[i], /^ *\/\//)
    indent = substr(line[i], 1, RLENGTH - 2) "///"
    text = substr(line[i], RLENGTH + 1)
    if (text ~ /^   / && after ~ /(^|:)$/) {
      if (after != "") print indent
      is_code = 1
    } else if (text !~ /^   / && text != "") {
      is_code = 0
    }
    print indent (is_code && text != "" ? "    " text : escaped(text))
    after = text
  }
}

# Whether a comment above this line is about it.
function is_declaration(text) {
  return text !~ /^ *$/ && text !~ /^ *[}#]/ && !is_comment(text)
}

{ line[NR] = $0 }

END {
  for (i = 1; i <= NR; ++i) {
    if (is_comment(line[i])) {
      first = i
      while (i < NR && is_comment(line[i + 1])) ++i
      if (first == 1 && line[i + 1] ~ /^#pragma once/) {
        print "/// \\file"
        print_block(first, i)
        ++i
      } else if (is_declaration(line[i + 1]) && line[first] !~ /^ *\/\/ ---/) {
        print_block(first, i)
      } else {
        while (first <= i) print line[first++]
      }
    } else if (match(line[i], /  +\/\/ /) && line[i] !~ /^ *[}#]/) {
      column = RSTART + RLENGTH - 3
      code = substr(line[i], 1, RSTART - 1)
      text = escaped(substr(line[i], RSTART + RLENGTH))
      before = code ~ /\}$/ || code ~ /^ *(template.*)?(struct|class|enum|union) .*\};$/
      if (!before && code !~ /[;,A-Za-z0-9_]$/) {
        print line[i]
        continue
      }
      lines = 1
      while (i < NR && is_comment(line[i + 1]) && match(line[i + 1], /[^ ]/) && RSTART == column) {
        ++i
        ++lines
        text = text " " escaped(substr(line[i], column + 3))
      }
      print (before ? "/** " text " */ " code : code "  ///< " text)
      while (--lines > 0) print ""
    } else {
      print line[i]
    }
  }
}
