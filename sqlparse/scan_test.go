package sqlparse

import (
	"fmt"
	"strings"
	"testing"
)

func TestMayWrite(t *testing.T) {
	t.Parallel()
	c := newTest(t)
	for sql, want := range map[string]bool{
		"":                                       false,
		"SELECT 1":                               false,
		"SELECT * FROM issue WHERE id = 1":       false,
		"UPDATE pgbench_accounts SET a = 1":      false,
		"insert into ISSUE values (1)":           true,
		"INSERT INTO\n\"issue\"VALUES (1)":       true,
		"INSERT INTO github.issue VALUES (1)":    true,
		`INSERT INTO"github"."issue"VALUES (1)`:  true,
		"INSERT INTO/**/issue/**/VALUES (1)":     true,
		"INSERT INTO issues VALUES (1)":          false,
		"INSERT INTO my_issue VALUES (1)":        false,
		"INSERT INTO issue$ VALUES (1)":          false,
		"DELETE FROM Issue_Label":                true,
		`DELETE FROM "MyIssues"`:                 true,
		`DELETE FROM "open issues"`:              true,
		`DELETE FROM U&"\0069ssue"`:              true,
		`DELETE FROM u&"!0069ssue" UESCAPE '!'`:  true,
		"COPY issue FROM STDIN":                  true,
		"MERGE INTO issue USING a ON true":       true,
		"SELECT updated_at FROM issue":           false,
		"SELECT * FROM issue FOR UPDATE":         true, // Parse knows better
		"SELECT 'insert into issue'":             true,
		"SELECT 1 -- update issue":               true,
		"EXECUTE insert_issue(1)":                false,
		"WITH a AS(UPDATE issue SET b=1)TABLE a": true,
	} {
		if got := c.MayWrite([]byte(sql)); got != want {
			t.Errorf("%s: got %t", sql, got)
		}
	}
	if !(c.Scan([]byte("SELECT 1; execute p")) == HintExecute) {
		t.Error("EXECUTE is not hinted at")
	}
	if got := c.Scan([]byte("EXECUTE p; DELETE FROM issue")); got != HintExecute|HintWrite {
		t.Errorf("hint %b", got)
	}
}

func TestMayWriteOddNames(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 63)
	for _, tc := range []struct{ name, sql string }{
		{"!", `DELETE FROM "!"`},
		{"1st", `DELETE FROM "1st"`},
		{`a"b`, `DELETE FROM "a""b"`},
		{"ärger", `DELETE FROM ärger`},
		{"Ärger", `DELETE FROM "Ärger"`},
		{long, "DELETE FROM " + long + "yz"},
		{long[:40], "DELETE FROM " + long[:40]},
	} {
		c := New(Config{})
		c.SetWatched([]string{tc.name})
		if !c.MayWrite([]byte(tc.sql)) {
			t.Errorf("%s: no", tc.sql)
		}
		if s, err := c.Parse(tc.sql); err != nil || !s.Writes() {
			t.Errorf("%s: %+v %v", tc.sql, s, err)
		}
	}
}

func TestTxKind(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string]Kind{
		"":                                Other,
		"begin":                           Begin,
		" /* a */ -- b\n ;Begin;":         Begin,
		"START TRANSACTION READ ONLY":     Begin,
		"START_REPLICATION SLOT a":        Other,
		"COMMIT":                          Commit,
		"COMMIT AND CHAIN":                Commit,
		"END":                             Commit,
		"COMMIT PREPARED 'a'":             CommitPrepared,
		"ABORT":                           Rollback,
		"ROLLBACK":                        Rollback,
		"ROLLBACK WORK":                   Rollback,
		"ROLLBACK TRANSACTION TO a":       RollbackTo,
		"ROLLBACK /* a */ TO SAVEPOINT a": RollbackTo,
		"ROLLBACK PREPARED 'a'":           RollbackPrepared,
		"SAVEPOINT a":                     Savepoint,
		"RELEASE SAVEPOINT a":             Release,
		"PREPARE TRANSACTION 'a'":         PrepareTx,
		"PREPARE transaction AS SELECT 1": Other,
		"PREPARE transaction(int) AS VALUES ($1)": Other,
		"SELECT 1; COMMIT":                        Other,
		"beginning":                               Other,
	} {
		if got := TxKind([]byte(sql)); got != want {
			t.Errorf("%q: %s, want %s", sql, got, want)
		}
	}
}

func TestNoAllocations(t *testing.T) {
	c := newTest(t)
	read := []byte("SELECT id, number, title FROM issue WHERE repository_id = $1 AND state = 'open' ORDER BY updated_at DESC LIMIT 50")
	write := []byte("UPDATE issue SET title = $1 WHERE id = $2")
	if _, err := c.ParseBytes(write); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func(){
		"MayWrite of a read":  func() { c.MayWrite(read) },
		"MayWrite of a write": func() { c.MayWrite(write) },
		"TxKind":              func() { TxKind(read) },
		"Parse, cached":       func() { c.ParseBytes(write) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

func TestCacheIsBoundedByBytes(t *testing.T) {
	t.Parallel()
	const limit = 64 << 10
	c := newCache(limit)
	for i := range 2000 {
		c.put(entry{key: fmt.Sprintf("%0*d", i%3000, i)})
	}
	if c.size > limit || c.size < limit/2 {
		t.Errorf("%d bytes of %d", c.size, limit)
	}
	if len(c.entries) != c.recent.Len() {
		t.Errorf("%d entries, %d in the list", len(c.entries), c.recent.Len())
	}
	sum := 0
	for el := c.recent.Front(); el != nil; el = el.Next() {
		sum += el.Value.(*entry).size
	}
	if sum != c.size {
		t.Errorf("entries of %d bytes counted as %d", sum, c.size)
	}
	c.put(entry{key: strings.Repeat("x", limit)})
	if _, ok := c.get(strings.Repeat("x", limit)); ok {
		t.Error("one entry must not empty the cache")
	}
}

func TestCacheKeepsWhatIsUsed(t *testing.T) {
	t.Parallel()
	c := newCache(16 * entryOverhead)
	c.put(entry{key: "used"})
	for i := range 30 {
		if _, ok := c.getBytes([]byte("used")); !ok {
			t.Fatal("dropped although used")
		}
		c.put(entry{key: fmt.Sprint(i)})
	}
	if _, ok := c.get("0"); ok {
		t.Error("the oldest was kept")
	}
}

func BenchmarkMayWrite(b *testing.B) {
	c := newTest(b)
	for name, sql := range map[string]string{
		"pgbench":    "SELECT abalance FROM pgbench_accounts WHERE aid = 4711;",
		"read issue": "SELECT id, number, title, body, user_id, created_at FROM github.issue WHERE repository_id = $1 AND state = 'open' ORDER BY updated_at DESC LIMIT 50",
		"long read":  strings.Repeat("SELECT i.id, r.full_name FROM issue i JOIN repository r ON r.id = i.repository_id WHERE i.title ILIKE '%crash%' AND i.comments > 10 ", 20),
		"write":      "UPDATE issue SET state = 'closed' WHERE number = 12",
		"blob":       "SELECT '" + strings.Repeat("0123456789abcdef", 64) + "'",
	} {
		b.Run(name, func(b *testing.B) {
			text := []byte(sql)
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				c.MayWrite(text)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(text))*100, "ns/100B")
		})
	}
}

func BenchmarkParse(b *testing.B) {
	const update = "UPDATE issue SET state = 'closed', state_reason = 'completed' WHERE repository_id = 1 AND number = 12 RETURNING id"
	rows := "INSERT INTO issue (repository_id, title) VALUES (1, 'a')" + strings.Repeat(", (1, 'b')", 999)
	for name, sql := range map[string]string{"update": update, "1000 rows": rows} {
		b.Run(name+"/first", func(b *testing.B) {
			c := New(Config{MaxCacheBytes: -1})
			b.ReportAllocs()
			for b.Loop() {
				c.Parse(sql)
			}
		})
		b.Run(name+"/cached", func(b *testing.B) {
			c := newTest(b)
			text := []byte(sql)
			b.ReportAllocs()
			for b.Loop() {
				c.ParseBytes(text)
			}
		})
	}
}
