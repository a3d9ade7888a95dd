package sqlparse

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
)

// watched is a set as the proxy might use it: the mirrored table, a view over it with a capital, and one view whose name
// needs quotes for its blank.
var watched = []string{"issue", "issue_label", "MyIssues", "open issues"}

func newTest(t testing.TB) *Classifier {
	t.Helper()
	c := New(Config{})
	c.SetWatched(watched)
	return c
}

func TestParseOneStatement(t *testing.T) {
	t.Parallel()
	issue := []Name{{Name: "issue"}}
	for _, tc := range []struct {
		sql  string
		want Statement // Start, End and CharStart are checked by TestBoundaries
	}{
		{"SELECT * FROM issue", Statement{Kind: Select}},
		{"SELECT * FROM issue FOR UPDATE", Statement{Kind: Select}},
		{"TABLE issue", Statement{Kind: Select}},
		{"VALUES ('insert into issue')", Statement{Kind: Select}},
		{"INSERT INTO issue (title) VALUES ('x')", Statement{Kind: Insert, Writes: true, Targets: issue}},
		{"insert into Issue default values returning id", Statement{Kind: Insert, Writes: true, Targets: issue, HasReturning: true}},
		{`INSERT INTO "issue" VALUES (1)`, Statement{Kind: Insert, Writes: true, Targets: issue}},
		{`INSERT INTO "Issue" VALUES (1)`, Statement{Kind: Insert, Targets: []Name{{Name: "Issue"}}}},
		{`INSERT INTO "MyIssues" VALUES (1)`, Statement{Kind: Insert, Writes: true, Targets: []Name{{Name: "MyIssues"}}}},
		{`INSERT INTO myissues VALUES (1)`, Statement{Kind: Insert, Targets: []Name{{Name: "myissues"}}}},
		{`UPDATE "open issues" SET a = 1`, Statement{Kind: Update, Writes: true, Targets: []Name{{Name: "open issues"}}}},
		{`INSERT INTO U&"\0069ssue" VALUES (1)`, Statement{Kind: Insert, Writes: true, Targets: issue}},
		{`INSERT INTO U&"!0069ssue" UESCAPE '!' VALUES (1)`, Statement{Kind: Insert, Writes: true, Targets: issue}},
		{"INSERT INTO github.issue SELECT 1 ON CONFLICT DO NOTHING", Statement{Kind: Insert, Writes: true, Targets: []Name{{"github", "issue"}}}},
		{"INSERT INTO postgres.github.issue VALUES (1)", Statement{Kind: Insert, Writes: true, Targets: []Name{{"github", "issue"}}}},
		{"UPDATE ONLY issue AS i SET title = 'a' FROM b WHERE b.id = i.id RETURNING *", Statement{Kind: Update, Writes: true, Targets: issue, HasReturning: true}},
		{"UPDATE b SET x = issue.title FROM issue", Statement{Kind: Update, Targets: []Name{{Name: "b"}}}},
		{"DELETE FROM issue USING b WHERE true", Statement{Kind: Delete, Writes: true, Targets: issue}},
		{"MERGE INTO issue USING b ON true WHEN MATCHED THEN DO NOTHING", Statement{Kind: Merge, Writes: true, Targets: issue}},
		{"MERGE INTO b USING issue ON true WHEN MATCHED THEN DELETE RETURNING b.*", Statement{Kind: Merge, Targets: []Name{{Name: "b"}}, HasReturning: true}},
		{"COPY issue (title) FROM STDIN WITH (FORMAT csv)", Statement{Kind: Copy, Writes: true, Targets: issue}},
		{"COPY issue TO STDOUT", Statement{Kind: Copy}},
		{"COPY (UPDATE issue SET title = 'a' RETURNING id) TO STDOUT", Statement{Kind: Copy, Writes: true, Targets: issue, HasReturning: true}},
		{"WITH d AS (DELETE FROM issue RETURNING *) SELECT * FROM d", Statement{Kind: Select, Writes: true, Targets: issue}},
		{"WITH d AS (DELETE FROM b RETURNING *) INSERT INTO issue SELECT * FROM d", Statement{Kind: Insert, Writes: true, Targets: []Name{{Name: "b"}, {Name: "issue"}}}},
		{"WITH d AS (SELECT 1) UPDATE issue SET title = 'a'", Statement{Kind: Update, Writes: true, Targets: issue}},
		{"WITH d AS (MERGE INTO issue USING b ON true WHEN MATCHED THEN DELETE RETURNING *) TABLE d", Statement{Kind: Select, Writes: true, Targets: issue}},
		{"(WITH d AS (DELETE FROM issue RETURNING 1) SELECT 1) UNION SELECT 2 UNION SELECT 3", Statement{Kind: Select, Writes: true, Targets: issue}},
		{"CREATE TABLE x AS WITH d AS (DELETE FROM issue RETURNING *) SELECT * FROM d", Statement{Writes: true, Targets: issue}},
		{"CREATE TABLE x AS EXECUTE p", Statement{PreparedName: "p"}},
		{"SELECT * INTO x FROM issue", Statement{Kind: Select}},
		{"CREATE VIEW v AS SELECT * FROM issue", Statement{}},
		{"CREATE RULE r AS ON INSERT TO b DO ALSO DELETE FROM issue", Statement{}},
		{"CREATE FUNCTION f() RETURNS void BEGIN ATOMIC DELETE FROM issue; END", Statement{}},
		{"DO $$BEGIN DELETE FROM issue; END$$", Statement{}},
		{"TRUNCATE issue", Statement{}},
		{"CALL p('update issue')", Statement{}},
		{"EXPLAIN UPDATE issue SET title = 'a' RETURNING id", Statement{Kind: Explain, HasReturning: true}},
		{"EXPLAIN ANALYZE VERBOSE UPDATE issue SET title = 'a'", Statement{Kind: Explain, Analyze: true, Writes: true, Targets: issue}},
		{"EXPLAIN (ANALYZE, COSTS off) DELETE FROM issue", Statement{Kind: Explain, Analyze: true, Writes: true, Targets: issue}},
		{"EXPLAIN (ANALYZE false) DELETE FROM issue", Statement{Kind: Explain}},
		{"EXPLAIN (ANALYZE 0) DELETE FROM issue", Statement{Kind: Explain}},
		{"EXPLAIN (ANALYZE 'off', ANALYZE) DELETE FROM issue", Statement{Kind: Explain, Analyze: true, Writes: true, Targets: issue}},
		{"EXPLAIN ANALYZE EXECUTE p(1)", Statement{Kind: Explain, Analyze: true, PreparedName: "p"}},
		{"PREPARE P (int) AS UPDATE issue SET title = 'a' WHERE id = $1 RETURNING id", Statement{Kind: Prepare, Writes: true, Targets: issue, HasReturning: true, PreparedName: "p"}},
		{"PREPARE p AS SELECT 1", Statement{Kind: Prepare, PreparedName: "p"}},
		{`EXECUTE "P"(1)`, Statement{Kind: Execute, PreparedName: "P"}},
		{"DEALLOCATE PREPARE p", Statement{Kind: Deallocate, PreparedName: "p"}},
		{"DEALLOCATE ALL", Statement{Kind: Deallocate}},
		{"DISCARD ALL", Statement{Kind: Discard}},
		{"DECLARE c CURSOR FOR SELECT * FROM issue FOR UPDATE", Statement{}},
		{"BEGIN", Statement{Kind: Begin}},
		{"START TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY", Statement{Kind: Begin}},
		{"COMMIT", Statement{Kind: Commit}},
		{"END WORK", Statement{Kind: Commit}},
		{"COMMIT AND CHAIN", Statement{Kind: Commit, Chain: true}},
		{"COMMIT AND NO CHAIN", Statement{Kind: Commit}},
		{"ABORT", Statement{Kind: Rollback}},
		{"ROLLBACK TRANSACTION AND CHAIN", Statement{Kind: Rollback, Chain: true}},
		{"SAVEPOINT Abc", Statement{Kind: Savepoint, SavepointName: "abc"}},
		{"ROLLBACK WORK TO SAVEPOINT \"A b\"", Statement{Kind: RollbackTo, SavepointName: "A b"}},
		{"RELEASE abc", Statement{Kind: Release, SavepointName: "abc"}},
		{"PREPARE TRANSACTION 'x'", Statement{Kind: PrepareTx}},
		{"COMMIT PREPARED 'x'", Statement{Kind: CommitPrepared}},
		{"ROLLBACK PREPARED 'x'", Statement{Kind: RollbackPrepared}},
		{"SET LOCAL pghub.dry_run = on", Statement{Kind: Set}},
		{"RESET ALL", Statement{Kind: Set}},
	} {
		t.Run(tc.sql, func(t *testing.T) {
			t.Parallel()
			c := newTest(t)
			script, err := c.Parse(tc.sql)
			if err != nil {
				t.Fatal(err)
			}
			if len(script.Statements) != 1 {
				t.Fatalf("%d statements", len(script.Statements))
			}
			got := script.Statements[0]
			got.Start, got.End, got.CharStart = 0, 0, 0
			if !reflect.DeepEqual(got, tc.want) {
				t.Errorf("\n got %+v\nwant %+v", got, tc.want)
			}
			if got.Writes && !c.MayWrite([]byte(tc.sql)) {
				t.Error("MayWrite is false for a statement that writes")
			}
			if got.Kind != Select && got.Kind != Copy && got.Kind.Transaction() != TxKind([]byte(tc.sql)).Transaction() {
				t.Errorf("TxKind is %s, Parse says %s", TxKind([]byte(tc.sql)), got.Kind)
			}
			if script.Writes() != got.Writes {
				t.Error("Script.Writes differs from its only statement's")
			}
		})
	}
}

func TestBoundaries(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ä; 'x ", 100)
	quoted := strings.ReplaceAll(long, "'", "''")
	for _, tc := range []struct {
		name, sql string
		want      []string
	}{
		{"empty", "", nil},
		{"blank", " \n; ;/* a ; */ -- b;\n;", nil},
		{"one", "  SELECT 1  ", []string{"SELECT 1"}},
		{"semicolon", "SELECT 1;", []string{"SELECT 1"}},
		{"comments around", "/* a /* b */ ; */ SELECT 1 -- c ; d\n /* e */ ; -- f", []string{"SELECT 1"}},
		{"comment at the end of the text", "SELECT 1 -- c", []string{"SELECT 1"}},
		{"comment within", "SELECT /* ; */ 1; SELECT -- ;\n 2", []string{"SELECT /* ; */ 1", "SELECT -- ;\n 2"}},
		{"empty ones between", ";;SELECT 1;;;SELECT 2;", []string{"SELECT 1", "SELECT 2"}},
		{"quotes", `SELECT ';', E'\';', $$;$$, $a$;$$;$a$, ";", U&';' ; SELECT 2`, []string{`SELECT ';', E'\';', $$;$$, $a$;$$;$a$, ";", U&';'`, "SELECT 2"}},
		{"operators before comments", "SELECT 1 +--;\n 2; SELECT 3*/*;*/4", []string{"SELECT 1 +--;\n 2", "SELECT 3*/*;*/4"}},
		{"letters of several bytes", "SELECT 'äöü€😀';SELECT 2", []string{"SELECT 'äöü€😀'", "SELECT 2"}},
		{"semicolons in a rule", "CREATE RULE r AS ON INSERT TO b DO (SELECT 1; SELECT 2); SELECT 3", []string{"CREATE RULE r AS ON INSERT TO b DO (SELECT 1; SELECT 2)", "SELECT 3"}},
		{"semicolons in a body", "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END; SELECT 3", []string{"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END", "SELECT 3"}},
		{"long literal", "SELECT '" + quoted + "', 1 ; SELECT 2", []string{"SELECT '" + quoted + "', 1", "SELECT 2"}},
		{"long literal at the end", "SELECT 1;SELECT '" + quoted + "'", []string{"SELECT 1", "SELECT '" + quoted + "'"}},
		{"long literals of all sorts", "SELECT E'" + quoted + "';SELECT $a$" + long + "$a$;SELECT N'" + quoted + "';SELECT 2", []string{
			"SELECT E'" + quoted + "'", "SELECT $a$" + long + "$a$", "SELECT N'" + quoted + "'", "SELECT 2"}},
		{"long comments", "/*" + long + "*/SELECT 1/*" + long + "*/;--" + long + "\nSELECT--" + long + "\n2--" + long, []string{"SELECT 1", "SELECT--" + long + "\n2"}},
		{"transaction", "BEGIN; UPDATE issue SET a=1; COMMIT", []string{"BEGIN", "UPDATE issue SET a=1", "COMMIT"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			script, err := newTest(t).Parse(tc.sql)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, st := range script.Statements {
				got = append(got, tc.sql[st.Start:st.End])
				if chars := len([]rune(tc.sql[:st.Start])); chars != st.CharStart {
					t.Errorf("CharStart %d, want %d", st.CharStart, chars)
				}
			}
			if !reflect.DeepEqual(got, tc.want) {
				t.Errorf("\n got %q\nwant %q", got, tc.want)
			}
		})
	}
}

func TestParseBackslash(t *testing.T) {
	t.Parallel()
	c := newTest(t)
	const sql = `INSERT INTO issue (title) VALUES ('it\'s; DELETE FROM b; --'); SELECT '\\', 'a'`
	script, err := c.ParseBackslash(sql)
	if err != nil {
		t.Fatal(err)
	}
	if len(script.Statements) != 2 || !script.Statements[0].Writes || script.Statements[1].Writes {
		t.Fatalf("%+v", script)
	}
	st := script.Statements[0]
	if got := sql[st.Start:st.End]; !strings.HasSuffix(got, `--')`) {
		t.Errorf("first statement %q", got)
	}
	var syntax *SyntaxError
	if _, err := c.Parse(`SELECT 'it\'s'`); !errors.As(err, &syntax) {
		t.Errorf("with the standard meaning of a backslash: %v", err)
	}
}

func TestParseRefusals(t *testing.T) {
	t.Parallel()
	c := New(Config{MaxLength: 5000, MaxTokens: 1000, MaxDepth: 100})
	for name, tc := range map[string]struct {
		sql  string
		want error
	}{
		"length":        {"SELECT '" + strings.Repeat("x", 5000) + "'", ErrTooLong},
		"tokens":        {"SELECT 1" + strings.Repeat(",1", 600), ErrTooComplex},
		"depth":         {"SELECT 1" + strings.Repeat("+1", 101), ErrTooComplex},
		"parentheses":   {"SELECT " + strings.Repeat("(", 101), ErrTooComplex},
		"case":          {"SELECT " + strings.Repeat("CASE WHEN a AND b THEN ", 101), ErrTooComplex},
		"NUL":           {"SELECT 1\x00; DELETE FROM issue", ErrNUL},
		"NUL in string": {"SELECT '\x00'", ErrNUL},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := c.Parse(tc.sql); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
	var syntax *SyntaxError
	if _, err := c.Parse("SELECT FROM FROM"); !errors.As(err, &syntax) || syntax.Message != `syntax error at or near "FROM"` {
		t.Errorf("syntax error: %v", err)
	}
}

// TestComplexButFlat holds statements that people and libraries really send: many rows, long lists of conditions.
func TestComplexButFlat(t *testing.T) {
	t.Parallel()
	c := newTest(t)
	for name, sql := range map[string]string{
		"rows":       "INSERT INTO issue VALUES (1, 'a', ARRAY['b','c'], lower('D') || 'e')" + strings.Repeat(", (1, 'a', ARRAY['b','c'], lower('D') || 'e')", 5000),
		"or":         "DELETE FROM issue WHERE id = 1" + strings.Repeat(" OR id = 2", 5000),
		"pairs":      "DELETE FROM issue WHERE (a = 1 AND b = 2)" + strings.Repeat(" OR (a = 3 AND b BETWEEN 4 AND 5)", 2000),
		"in":         "DELETE FROM issue WHERE id IN (1" + strings.Repeat(",2", 20000) + ")",
		"case":       "UPDATE issue SET title = CASE id" + strings.Repeat(" WHEN 1 THEN 'a' || $1", 2000) + " END",
		"statements": strings.Repeat("UPDATE issue SET title = 'a' WHERE id = 1; ", 3000),
		"concat":     "UPDATE issue SET body = 'a'" + strings.Repeat(" || chr(10) || 'b'", 100),
		"body":       "INSERT INTO issue (body) VALUES ('" + strings.Repeat("long text; ", 1<<20) + "')",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			script, err := c.Parse(sql)
			if err != nil {
				t.Fatal(err)
			}
			if !script.Writes() {
				t.Error("no write found")
			}
		})
	}
}

func TestSetWatched(t *testing.T) {
	t.Parallel()
	c := New(Config{})
	const sql = "UPDATE issue SET title = 'a'"
	writes := func(sql string) bool {
		t.Helper()
		s, err := c.Parse(sql)
		if err != nil {
			t.Fatal(err)
		}
		b, err := c.ParseBytes([]byte(sql))
		if err != nil || b.Writes() != s.Writes() {
			t.Fatalf("ParseBytes differs: %v", err)
		}
		return s.Writes()
	}
	if writes(sql) || c.MayWrite([]byte(sql)) {
		t.Error("nothing is watched yet")
	}
	c.SetWatched([]string{"issue"})
	before, _ := c.Parse(sql)
	if !writes(sql) || !c.MayWrite([]byte(sql)) {
		t.Error("issue is watched")
	}
	c.SetWatched([]string{"label"})
	if writes(sql) || c.MayWrite([]byte(sql)) {
		t.Error("issue is not watched any more")
	}
	if !before.Writes() {
		t.Error("a script in use was changed")
	}
	c.SetWatchedNames([]Name{{"github", "issue"}})
	for sql, want := range map[string]bool{
		"UPDATE issue SET a = 1": true, "UPDATE github.issue SET a = 1": true, "UPDATE public.issue SET a = 1": false,
	} {
		if writes(sql) != want {
			t.Errorf("%s: writes is %t", sql, !want)
		}
	}
}

// TestConcurrentUse also sees that the process's standard error, which the parser swaps for a pipe, is put back.
func TestConcurrentUse(t *testing.T) {
	var before, after os.FileInfo
	stat := func(to *os.FileInfo) {
		var err error
		if *to, err = os.Stderr.Stat(); err != nil {
			t.Fatal(err)
		}
	}
	stat(&before)
	defer func() {
		if stat(&after); !os.SameFile(before, after) {
			t.Error("standard error is another file than before")
		}
	}()
	c := New(Config{MaxCacheBytes: 16 << 10})
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 200 {
				c.SetWatched([]string{"issue"})
				sql := fmt.Sprintf("UPDATE issue SET a = %d; SELECT 1", (i+g)%50)
				if s, err := c.Parse(sql); err != nil || len(s.Statements) != 2 || !s.Writes() {
					t.Errorf("%+v %v", s, err)
				}
			}
		})
	}
	wg.Wait()
}
