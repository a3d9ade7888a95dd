package sqlparse

import (
	"strings"
	"testing"
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
