package sqlparse

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	pg_query "github.com/pganalyze/pg_query_go/v6"
	"github.com/pganalyze/pg_query_go/v6/parser"
)

// parsing serialises the calls into libpg_query, which swaps the process's standard error for a pipe during each:
// two at once would restore the wrong descriptor, and the next line written there would end the process.
var parsing sync.Mutex

// parse bounds, parses and walks a text. Writes is left false everywhere: it depends on the watched names.
func parse(sql string, cfg Config, backslash bool) ([]Statement, error) {
	in, err := inspect(sql, cfg, backslash)
	if err != nil {
		return nil, err
	}
	parsing.Lock()
	tree, err := pg_query.Parse(in.text)
	parsing.Unlock()
	if err != nil {
		return nil, parseError(err)
	}
	statements := make([]Statement, 0, len(tree.Stmts))
	chars, counted := 0, 0
	for _, raw := range tree.Stmts {
		from := int(raw.StmtLocation)
		to := len(in.text)
		if raw.StmtLen > 0 {
			to = from + int(raw.StmtLen)
		}
		if from < 0 || from > to || to > len(in.text) {
			return nil, fmt.Errorf("sqlparse: statement at %d..%d of %d bytes", from, to, len(in.text))
		}
		from, to = trim(in.text, from, to, backslash)
		st := Statement{Start: in.original(from), End: in.original(to)}
		chars += characters(sql[counted:st.Start])
		counted = st.Start
		st.CharStart = chars
		describe(&st, raw.Stmt)
		statements = append(statements, st)
	}
	return statements, nil
}

func parseError(err error) error {
	var p *parser.Error
	if !errors.As(err, &p) { // only the decoder's recursion limit is left
		return fmt.Errorf("%w: %v", ErrTooComplex, err)
	}
	switch {
	case strings.HasPrefix(p.Message, "memory exhausted"): // the grammar's own stack of 10,000
		return ErrTooComplex
	case p.Filename == "":
		return fmt.Errorf("sqlparse: %w", p)
	}
	return &SyntaxError{Message: p.Message}
}

// trim narrows a range to its tokens, leaving blanks and comments outside.
func trim(text string, from, to int, backslash bool) (int, int) {
	lex := lexer[string]{s: text[:to], pos: from, backslash: backslash}
	first, last := -1, from
	for {
		kind, start, end := lex.next()
		switch kind {
		case tokEOF:
			if first < 0 {
				first = from
			}
			return first, last
		case tokComment:
		default:
			if first < 0 {
				first = start
			}
			last = end
		}
	}
}

// characters counts UTF-8 characters as Postgres does, by their first bytes.
func characters(s string) int {
	n := 0
	for i := 0; i < len(s); i++ {
		if s[i]&0xc0 != 0x80 {
			n++
		}
	}
	return n
}
