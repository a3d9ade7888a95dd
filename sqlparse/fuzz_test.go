package sqlparse

import (
	"strings"
	"testing"

	pg_query "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// FuzzParse: no panic; statements lie in order within the text and do not overlap; executed alone each is one statement of
// the same sort; and a text in which the scan sees no write has none.
func FuzzParse(f *testing.F) {
	for _, sql := range []string{
		"SELECT 1; BEGIN; INSERT INTO issue VALUES ('a;b'); COMMIT",
		"/* a */ WITH d AS (DELETE FROM \"issue\" RETURNING *) SELECT * FROM d -- b",
		`UPDATE issue SET body = $a$b$a$, title = E'\'' || U&'\0041'; EXPLAIN ANALYZE EXECUTE p`,
		"COPY issue FROM STDIN; PREPARE p AS MERGE INTO issue USING a ON true WHEN MATCHED THEN DELETE",
		"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN a BETWEEN 1 AND 2 THEN b.end END; END; VALUES (1)",
	} {
		f.Add(sql, false)
		f.Add(sql, true)
	}
	c := New(Config{MaxCacheBytes: -1, MaxLength: 1 << 16, MaxTokens: 5000})
	c.SetWatched(watched)
	f.Fuzz(func(t *testing.T, sql string, backslash bool) {
		parse := c.Parse
		if backslash {
			parse = c.ParseBackslash
		}
		may := c.MayWrite([]byte(sql))
		FirstKind([]byte(sql))
		script, err := parse(sql)
		if err != nil {
			return
		}
		if script.Writes() && !may && !strings.Contains(strings.ToLower(sql), "u&") {
			t.Errorf("%q writes, but the scan says no", sql)
		}
		last, chars := 0, 0
		for _, st := range script.Statements {
			if st.Start < last || st.End <= st.Start || st.End > len(sql) {
				t.Fatalf("%q: statement at %d..%d after %d", sql, st.Start, st.End, last)
			}
			chars += characters(sql[last:st.Start])
			if st.CharStart != chars {
				t.Errorf("%q: CharStart %d, want %d", sql, st.CharStart, chars)
			}
			chars += characters(sql[st.Start:st.End])
			last = st.End
			alone, err := parse(sql[st.Start:st.End])
			if err != nil || len(alone.Statements) != 1 {
				t.Fatalf("%q alone: %+v, %v", sql[st.Start:st.End], alone, err)
			}
			if one := alone.Statements[0]; one.Kind != st.Kind || one.Writes != st.Writes || one.Start != 0 || one.End != st.End-st.Start {
				t.Errorf("%q: alone %+v, in the script %+v", sql, one, st)
			}
		}
	})
}

// FuzzCuts: leaving out long literals and comments must not change what is found.
func FuzzCuts(f *testing.F) {
	f.Add("SELECT '@'; UPDATE issue SET body = E'@\\'', title = $$@$$ /*@*/; --@\nSELECT 1")
	f.Add("SELECT N'@' '@'\n'@', U&'@', \"@\", b'@', $a$@$a$")
	c := New(Config{MaxCacheBytes: -1, MaxLength: 1 << 18, MaxTokens: 5000})
	c.SetWatched(watched)
	f.Fuzz(func(t *testing.T, sql string) {
		// Each @ stands for contents that are worth cutting or not.
		short, errShort := c.Parse(strings.ReplaceAll(sql, "@", "a b"))
		long, errLong := c.Parse(strings.ReplaceAll(sql, "@", "a "+strings.Repeat("x", worthCutting)+" b"))
		if errShort != nil || errLong != nil || strings.Count(sql, "@") > 100 {
			return
		}
		if len(short.Statements) != len(long.Statements) {
			t.Fatalf("%q: %d statements, %d with long contents", sql, len(short.Statements), len(long.Statements))
		}
		for i, a := range short.Statements {
			if b := long.Statements[i]; a.Kind != b.Kind || a.Writes != b.Writes {
				t.Errorf("%q: %+v, with long contents %+v", sql, a, b)
			}
		}
	})
}

// FuzzLexer compares our flat lexer with the parser's own: a literal that ends elsewhere would move a statement's boundary.
func FuzzLexer(f *testing.F) {
	f.Add(`SELECT a$b$c, $1, 'x''y' "q""r" E'\'' u&'a' U&"b" b'1' N'n' $$d$$ $t$e$$f$t$ 1.5e3 .5 0xff`)
	f.Add("a+--b\n*/*c/*d*/*/- 'e'\n'f' 'g' -- h\r\n'i' a.b::c[1] x'f'y")
	f.Fuzz(func(t *testing.T, sql string) {
		if strings.IndexByte(sql, 0) >= 0 || len(sql) > 1<<14 {
			return
		}
		parsing.Lock()
		scanned, err := pg_query.Scan(sql)
		parsing.Unlock()
		if err != nil {
			return
		}
		starts := map[int]bool{}
		lex := lexer[string]{s: sql}
		next := 0 // first of the parser's tokens that does not end before ours
		for {
			kind, start, end := lex.next()
			if kind == tokEOF {
				break
			}
			starts[start] = true
			for i := start; kind == tokNumber && i < end; i++ { // how 0E+0.A is cut does not matter: it holds no quotes
				starts[i] = true
			}
			for next < len(scanned.Tokens) && int(scanned.Tokens[next].End) <= start {
				next++
			}
			if kind == tokPunct || kind == tokNumber {
				continue
			}
			if next == len(scanned.Tokens) || int(scanned.Tokens[next].Start) > start || int(scanned.Tokens[next].End) < end {
				t.Fatalf("%q: our token %d at %d..%d %q is none of the parser's", sql, kind, start, end, sql[start:end])
			}
		}
		for _, tok := range scanned.Tokens {
			if tok.Token != pg_query.Token_ASCII_37 && !starts[int(tok.Start)] && class[sql[tok.Start]]&(operator|digit) == 0 && sql[tok.Start] != '.' {
				t.Fatalf("%q: the parser's token %v at %d..%d does not begin one of ours", sql, tok.Token, tok.Start, tok.End)
			}
		}
	})
}

// FuzzNesting: the parse tree is never deeper than the estimate that guards the parser's stack allows for. The constant is
// what one statement has around its first expression.
func FuzzNesting(f *testing.F) {
	for _, shape := range nested {
		f.Add(shape(3))
		f.Add(shape(20))
	}
	f.Fuzz(func(t *testing.T, sql string) {
		if strings.IndexByte(sql, 0) >= 0 || len(sql) > 1<<12 {
			return
		}
		var nest nesting
		lex := lexer[string]{s: sql}
		for {
			kind, start, end := lex.next()
			if kind == tokEOF {
				break
			}
			if kind != tokComment {
				nest.add(kind, sql[start:end], start)
			}
		}
		if nest.deep > defaultMaxDepth {
			return
		}
		parsing.Lock()
		tree, err := pg_query.Parse(sql)
		parsing.Unlock()
		if err != nil {
			return
		}
		if depth := messageDepth(tree.ProtoReflect()); depth > 5*nest.deep+24 {
			t.Errorf("%q: %d levels of messages, estimate %d", sql, depth, nest.deep)
		}
	})
}

func messageDepth(m protoreflect.Message) int {
	deepest := 0
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if fd.Message() == nil {
			return true
		}
		if fd.IsList() {
			for i := range v.List().Len() {
				deepest = max(deepest, messageDepth(v.List().Get(i).Message()))
			}
		} else {
			deepest = max(deepest, messageDepth(v.Message()))
		}
		return true
	})
	return 1 + deepest
}
