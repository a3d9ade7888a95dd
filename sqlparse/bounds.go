package sqlparse

import "strings"

// inspection is what one flat pass over a text finds before the parser may see it.
type inspection struct {
	text string // what to parse: the text, with long literals and comments emptied
	cuts []cut  // what was left out of it, in order
}

// cut says that total bytes were left out before offset at of the shortened text.
type cut struct{ at, total int }

// worthCutting is the length from which on the contents of a literal or comment are left out before parsing: the
// parser copies them half a dozen times, and an issue's body says nothing about what a statement writes.
const worthCutting = 64

// inspect bounds the text and shortens it. backslash is the meaning of a backslash in plain strings (see lexer).
func inspect(sql string, cfg Config, backslash bool) (inspection, error) {
	if len(sql) > cfg.MaxLength {
		return inspection{}, ErrTooLong
	}
	if strings.IndexByte(sql, 0) >= 0 {
		return inspection{}, ErrNUL
	}
	var (
		lex    = lexer[string]{s: sql, backslash: backslash}
		nest   = nesting{}
		tokens = 0
		out    = inspection{text: sql}
		short  strings.Builder
		copied = 0 // how much of sql is in short
	)
	for {
		kind, start, end := lex.next()
		if kind == tokEOF {
			break
		}
		if kind != tokComment {
			if tokens++; tokens > cfg.MaxTokens {
				return inspection{}, ErrTooComplex
			}
			if nest.add(kind, sql[start:end], start); nest.deep > cfg.MaxDepth {
				return inspection{}, ErrTooComplex
			}
		}
		if from, to := contents(sql, kind, start, end, &lex); to > from {
			short.WriteString(sql[copied:from])
			copied = to
			out.cuts = append(out.cuts, cut{at: short.Len(), total: to - short.Len()})
		}
	}
	if copied > 0 {
		short.WriteString(sql[copied:])
		out.text = short.String()
	}
	return out, nil
}

// contents returns the range within a token that can be left out: long contents, and those that the parser would
// read in another way than the server does because of a backslash.
func contents(sql string, kind tokenKind, start, end int, l *lexer[string]) (from, to int) {
	if !l.closed {
		return 0, 0
	}
	switch kind {
	case tokString:
		from, to = start+1+strings.IndexByte(sql[start:end], '\''), end-1
		if l.backslash && sql[start] == '\'' && strings.IndexByte(sql[from:to], '\\') >= 0 {
			return from, to
		}
	case tokDollar:
		tag := 1 + strings.IndexByte(sql[start+1:end], '$') + 1
		from, to = start+tag, end-tag
	case tokComment:
		from, to = start+2, end
		if sql[start] == '/' {
			to -= 2
		}
	}
	if to-from < worthCutting {
		return 0, 0
	}
	return from, to
}

// original translates an offset of the shortened text, outside what was cut, into one of the client's text.
func (in *inspection) original(offset int) int {
	lo, hi := 0, len(in.cuts)
	for lo < hi {
		if mid := (lo + hi) / 2; in.cuts[mid].at <= offset {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == 0 {
		return offset
	}
	return offset + in.cuts[lo-1].total
}

// nesting bounds from above how deep the parse tree of a text can be, token by token. The parser's output routines
// recurse over that tree on the C stack, where running out is fatal for the process: about 360 bytes for each node,
// so that 1+1+...+1 kills a thread of 8 MiB at 23,500 terms and one of 512 KiB at 1,450. (The grammar itself keeps its stack
// on the heap and gives up at 10,000 entries; protobuf refuses more than 10,000 levels, but only after that recursion.)
//
// Every level of the tree needs a bracket, an operator or a keyword of its own. Within one pair of
// brackets, commas and (outside BETWEEN) AND and OR separate siblings, so that only the longest stretch between them
// counts; set operations and joins nest across commas, so they always count; CASE ... END acts like brackets.
type nesting struct {
	levels []level
	prev   previous
	total  int // sum of the open levels' segment and sticky
	deep   int // deepest seen
}

// previous is what has to be known of the token before.
type previous struct {
	end   int
	punct byte // it, if it was a single byte
	word  bool // it was a word that counted: an opening bracket after it adds no level of its own
}

type level struct {
	segment int  // tokens since the last separator
	sticky  int  // tokens that no separator resets
	child   int  // depth of the deepest bracket closed in this segment
	best    int  // depth of the deepest finished segment
	between bool // the next AND belongs to a BETWEEN
	isCase  bool // opened by CASE
}

func (n *nesting) add(kind tokenKind, text string, start int) {
	if len(n.levels) == 0 {
		n.levels = append(n.levels, level{})
	}
	top := &n.levels[len(n.levels)-1]
	prev, before := n.prev, n.total
	n.prev = previous{end: start + len(text)}
	if kind == tokPunct {
		n.prev.punct = text[0]
	}
	switch {
	case kind == tokWord:
		if prev.punct != '.' { // x.end and x.case are names
			n.word(top, text)
			n.prev.word = n.total > before
		}
	case kind != tokPunct:
	case text == "(", text == "[":
		if !prev.word {
			n.count(top)
		}
		n.levels = append(n.levels, level{})
	case text == ")", text == "]":
		for len(n.levels) > 1 && n.levels[len(n.levels)-1].isCase {
			n.pop()
		}
		n.pop()
	case text == ",":
		n.separate(top)
	case text == ";":
		if allCases(n.levels[1:]) { // also after a column called "case"
			n.levels = append(n.levels[:0], level{})
			n.total = 0
			return
		}
		n.separate(top)
	case text == ".":
	case prev.end == start && sameOperator(prev.punct, text[0]):
	default:
		n.count(top)
	}
}

// sameOperator reports whether b, directly behind a, belongs to the operator that a is part of. Plus and minus may be
// operators of their own.
func sameOperator(a, b byte) bool {
	if a == ':' && b == ':' {
		return true
	}
	return class[a]&operator != 0 && class[b]&operator != 0 && b != '+' && b != '-'
}

func (n *nesting) word(top *level, text string) {
	switch lower[text[0]] {
	case 'a', 'o':
		if (is(text, "and") && !top.between) || is(text, "or") {
			n.separate(top)
			return
		}
	case 'b':
		if is(text, "between") {
			top.between = true
		}
	case 'u', 'i', 'j':
		if is(text, "union") || is(text, "intersect") || is(text, "join") {
			n.stick(top)
			return
		}
	case 'e':
		if is(text, "except") {
			n.stick(top)
			return
		}
		if top.isCase && is(text, "end") {
			n.pop()
			return
		}
		if top.isCase && is(text, "else") {
			n.separate(top)
			return
		}
	case 'w', 't':
		if top.isCase && (is(text, "when") || is(text, "then")) {
			n.separate(top)
			return
		}
	case 's':
		if is(text, "select") { // the query, its target list and the target
			n.count(top)
		}
	case 'c':
		if is(text, "case") { // the expression and the branch
			n.count(top)
			n.count(top)
			n.levels = append(n.levels, level{isCase: true})
			return
		}
	}
	n.count(top)
}

func (n *nesting) count(top *level) {
	top.segment++
	n.total++
	n.deep = max(n.deep, n.total-top.segment-top.sticky+top.depth())
}

func (n *nesting) stick(top *level) {
	top.sticky++
	n.total++
	n.deep = max(n.deep, n.total-top.segment-top.sticky+top.depth())
}

// depth is that of the tree under the level so far.
func (l *level) depth() int { return l.sticky + max(l.best, l.segment+l.child) }

// separate begins a new sibling.
func (n *nesting) separate(top *level) {
	top.best = max(top.best, top.segment+top.child)
	n.total -= top.segment
	top.segment, top.child, top.between = 0, 0, false
}

// pop closes the innermost level. Its depth counts in the segment that holds it: what follows may wrap it.
func (n *nesting) pop() {
	if len(n.levels) == 1 {
		return
	}
	closed := n.levels[len(n.levels)-1]
	n.levels = n.levels[:len(n.levels)-1]
	n.total -= closed.segment + closed.sticky
	top := &n.levels[len(n.levels)-1]
	top.child = max(top.child, closed.depth())
}

func allCases(levels []level) bool {
	for _, l := range levels {
		if !l.isCase {
			return false
		}
	}
	return true
}
