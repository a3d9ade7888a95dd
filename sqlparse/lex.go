package sqlparse

// Classes of bytes, after PostgreSQL's scan.l (chapter "Lexical Structure").
const (
	identStart = 1 << iota // may begin an unquoted identifier
	identPart              // may continue one
	digit
	space
	operator
)

var class = func() (t [256]uint8) {
	for c := 'a'; c <= 'z'; c++ {
		t[c] |= identStart | identPart
		t[c-'a'+'A'] |= identStart | identPart
	}
	for c := 0x80; c <= 0xff; c++ {
		t[c] |= identStart | identPart
	}
	t['_'] |= identStart | identPart
	t['$'] |= identPart
	for c := '0'; c <= '9'; c++ {
		t[c] |= identPart | digit
	}
	for _, c := range " \t\n\r\f\v" {
		t[c] |= space
	}
	for _, c := range "~!@#^&|`?+-*/%<>=" {
		t[c] |= operator
	}
	return t
}()

type tokenKind uint8

const (
	tokEOF tokenKind = iota
	tokComment
	tokWord   // keyword or unquoted identifier
	tokQuoted // "identifier", U&"identifier"
	tokString // 'string' whose contents may be dropped, E'string'
	tokDollar // $tag$string$tag$
	tokRigid  // U&'string', B'bits', X'bits': left as they are
	tokNumber // number or $1
	tokPunct  // any other single byte
)

// lexer cuts SQL text into tokens without allocating and without recursion, so that any text can be given to
// it. It follows scan.l except that operators come out byte by byte, which is all that counting needs.
// A literal that is not closed reaches to the end of the text; the parser reports it.
type lexer[T string | []byte] struct {
	s         T
	pos       int
	backslash bool // standard_conforming_strings is off: a backslash escapes in plain strings too
	closed    bool // the last literal or block comment has its end
}

// next returns the next token and its byte range; blanks are skipped, comments are not. At the end it
// returns tokEOF.
func (l *lexer[T]) next() (kind tokenKind, start, end int) {
	s := l.s
	i := l.pos
	for i < len(s) && class[s[i]]&space != 0 {
		i++
	}
	if i == len(s) {
		l.pos = i
		return tokEOF, i, i
	}
	kind, end = l.token(i)
	l.pos = end
	return kind, i, end
}

func (l *lexer[T]) token(i int) (tokenKind, int) {
	s := l.s
	c := s[i]
	l.closed = true
	var after byte
	if i+1 < len(s) {
		after = s[i+1]
	}
	switch {
	case class[c]&identStart != 0:
		return l.word(i, c, after)
	case class[c]&digit != 0 || c == '.' && class[after]&digit != 0:
		return tokNumber, l.number(i)
	}
	switch c {
	case '\'':
		return tokString, l.quoted(i+1, '\'', l.backslash)
	case '"':
		return tokQuoted, l.quoted(i+1, '"', false)
	case '$':
		if class[after]&digit != 0 {
			j := i + 1
			for j < len(s) && class[s[j]]&digit != 0 {
				j++
			}
			return tokNumber, j
		}
		if end := l.dollar(i); end > 0 {
			return tokDollar, end
		}
	case '-':
		if after == '-' {
			j := i + 2
			for j < len(s) && s[j] != '\n' && s[j] != '\r' {
				j++
			}
			return tokComment, j
		}
	case '/':
		if after == '*' {
			return tokComment, l.blockComment(i + 2)
		}
	}
	return tokPunct, i + 1
}

// word reads an identifier, or one of the literals that begin with a letter.
func (l *lexer[T]) word(i int, c, after byte) (tokenKind, int) {
	s := l.s
	switch c {
	case 'e', 'E':
		if after == '\'' {
			return tokString, l.quoted(i+2, '\'', true)
		}
	case 'b', 'B', 'x', 'X':
		if after == '\'' {
			return tokRigid, l.bits(i + 2)
		}
	case 'u', 'U':
		if after == '&' && i+2 < len(s) {
			switch s[i+2] {
			case '\'':
				return tokRigid, l.quoted(i+3, '\'', false)
			case '"':
				return tokQuoted, l.quoted(i+3, '"', false)
			}
		}
	}
	j := i + 1
	for j < len(s) && class[s[j]]&identPart != 0 {
		j++
	}
	return tokWord, j
}

// number reads digits with at most one point and whatever letters follow them: 1, .5, 1.5e10, 0xFF, 1_000. What is
// not a number there is an error for the parser to find.
func (l *lexer[T]) number(i int) int {
	s := l.s
	for point := false; i < len(s); i++ {
		switch {
		case class[s[i]]&digit != 0 || s[i] == '_':
		case class[s[i]]&identStart != 0:
			point = true // none can follow in 0x1F or 1e5
		case s[i] == '.' && !point && (i+1 >= len(s) || s[i+1] != '.'):
			point = true
		default:
			return i
		}
	}
	return i
}

// quoted returns the offset behind the closing quote; i is that behind the opening one.
func (l *lexer[T]) quoted(i int, quote byte, backslash bool) int {
	s := l.s
	for i < len(s) {
		switch {
		case s[i] == quote:
			if i+1 >= len(s) || s[i+1] != quote {
				return i + 1
			}
			i += 2
		case backslash && s[i] == '\\':
			i += 2
		default:
			i++
		}
	}
	l.closed = false
	return len(s)
}

// bits is quoted for B'...' and X'...', which know no doubled quote.
func (l *lexer[T]) bits(i int) int {
	for s := l.s; i < len(s); i++ {
		if s[i] == '\'' {
			return i + 1
		}
	}
	l.closed = false
	return i
}

// dollar returns the offset behind a dollar-quoted string that begins at i, or 0 if none does.
func (l *lexer[T]) dollar(i int) int {
	s := l.s
	open := i + 1
	for open < len(s) && s[open] != '$' && class[s[open]]&identPart != 0 {
		open++
	}
	if open >= len(s) || s[open] != '$' {
		return 0
	}
	open++
	n := open - i // length of $tag$
	for j := open; j+n <= len(s); j++ {
		if s[j] == '$' && string(s[j:j+n]) == string(s[i:open]) {
			return j + n
		}
	}
	l.closed = false
	return len(s)
}

// blockComment returns the offset behind a comment whose opening ends at i; comments nest.
func (l *lexer[T]) blockComment(i int) int {
	s := l.s
	for depth := 1; i < len(s); {
		switch {
		case s[i] == '*' && i+1 < len(s) && s[i+1] == '/':
			i += 2
			if depth--; depth == 0 {
				return i
			}
		case s[i] == '/' && i+1 < len(s) && s[i+1] == '*':
			i += 2
			depth++
		default:
			i++
		}
	}
	l.closed = false
	return len(s)
}

// is reports whether the word s equals the lower-case keyword, ignoring the case of ASCII letters.
func is[T string | []byte](s T, keyword string) bool {
	if len(s) != len(keyword) {
		return false
	}
	for i := 0; i < len(keyword); i++ {
		if lower[s[i]] != keyword[i] {
			return false
		}
	}
	return true
}

var lower = func() (t [256]byte) {
	for i := range t {
		t[i] = byte(i)
		if 'A' <= i && i <= 'Z' {
			t[i] += 'a' - 'A'
		}
	}
	return t
}()
