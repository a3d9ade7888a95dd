package schema_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pghub/pghub/schema"
)

// benchPage makes a page of 100 issues as GitHub lists them: 20 authors, two labels each, a milestone on half of them.
func benchPage(page int) []object {
	issues := make([]object, 100)
	for i := range issues {
		n := int64(page*100 + i + 1)
		o := issueObject(1<<33+n, n, userObject(1000+n%20, fmt.Sprintf("user%d", n%20)))
		o["body"] = fmt.Sprintf("%d: %01500d", n, n)
		o["labels"] = []object{labelObject(1+n%10, fmt.Sprintf("label%d", n%10)), labelObject(11+n%5, fmt.Sprintf("label%d", 10+n%5))}
		o["assignees"] = []object{userObject(1000+n%7, fmt.Sprintf("user%d", n%7))}
		if n%2 == 0 {
			o["milestone"] = milestoneObject(31, octocat)
		}
		issues[i] = o
	}
	return issues
}

// BenchmarkUpsert stores pages of 100 issues with all they refer to, and reports issues per second; pages are JSON at
// first, as they come from GitHub. The rejected or simpler ways stand beside it.
func BenchmarkUpsert(b *testing.B) {
	store := func(b *testing.B, each int, again bool) {
		ctx, pool, _ := mirror(b)
		var pages [][]byte
		count := b.N
		if again {
			count = 1
		}
		prepared := make([][]schema.Row, count)
		for p := range count {
			for i := range each / 100 {
				for _, o := range benchPage(p*each/100 + i) {
					pages = append(pages, o.raw(b))
				}
			}
		}
		b.ResetTimer()
		began := time.Now()
		for n := range b.N {
			p := n % count
			rows := prepared[p][:0]
			for _, raw := range pages[p*each : (p+1)*each] {
				more, err := schema.Issue.Rows(raw, one)
				if err != nil {
					b.Fatal(err)
				}
				rows = append(rows, more...)
			}
			err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
				_, err := schema.Upsert(ctx, tx, rows, time.Now())
				return err
			})
			if err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N*each)/time.Since(began).Seconds(), "issues/s")
	}
	b.Run("new/page=100", func(b *testing.B) { store(b, 100, false) })
	b.Run("new/page=1000", func(b *testing.B) { store(b, 1000, false) })
	b.Run("same/page=100", func(b *testing.B) { store(b, 100, true) })
}

// BenchmarkCopy is what BenchmarkUpsert is measured against: the same issues straight into the table by COPY.
func BenchmarkCopy(b *testing.B) {
	ctx, pool, _ := mirror(b)
	columns := make([]string, len(schema.Issue.Columns))
	for i, c := range schema.Issue.Columns {
		columns[i] = c.Name
	}
	seed := rowsOf(b, schema.Issue, benchPage(0)[1], one)
	upsert(b, pool, seed...)
	for n := range int64(20) {
		upsert(b, pool, rowsOf(b, schema.Account, userObject(1000+n, fmt.Sprintf("user%d", n)), schema.Scope{})...)
	}
	exec(b, pool, `DELETE FROM github.issue`)
	synced := schema.Issue.Position("synced_at")
	pages := make([][][]any, b.N)
	for p := range b.N {
		for _, o := range benchPage(p) {
			row, err := schema.Issue.Decode(o.raw(b), one)
			if err != nil {
				b.Fatal(err)
			}
			row.Values[synced] = time.Now()
			pages[p] = append(pages[p], row.Values)
		}
	}
	b.ResetTimer()
	began := time.Now()
	for p := range b.N {
		if _, err := pool.CopyFrom(ctx, pgx.Identifier{"github", "issue"}, columns, pgx.CopyFromRows(pages[p])); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*100)/time.Since(began).Seconds(), "issues/s")
}

// BenchmarkDecode reads one issue with all it refers to.
func BenchmarkDecode(b *testing.B) {
	raw := benchPage(0)[1].raw(b)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := schema.Issue.Rows(raw, one); err != nil {
			b.Fatal(err)
		}
	}
}
