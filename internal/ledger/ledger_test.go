package ledger_test

import (
	"context"
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pghub/pghub/internal/embedpg/embedpgtest"
	"github.com/pghub/pghub/internal/ledger"
	"github.com/pghub/pghub/schema"
)

func TestMain(m *testing.M) { os.Exit(embedpgtest.Main(m)) }

type bundle struct {
	t    *testing.T
	ctx  context.Context
	pool *pgxpool.Pool
	*ledger.Ledger
}

func setup(t *testing.T) *bundle {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	url := embedpgtest.Clone(t, "migrated", func(url string) error { return schema.Migrate(ctx, url) })
	pool, err := schema.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return &bundle{t, ctx, pool, another(t, pool)}
}

func another(t *testing.T, pool *pgxpool.Pool) *ledger.Ledger {
	t.Helper()
	l, err := ledger.New(pool)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// client is an open transaction that writes.
type client struct {
	pgx.Tx
	xid string
}

func (b *bundle) client() client {
	b.t.Helper()
	tx, err := b.pool.Begin(b.ctx)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { tx.Rollback(context.WithoutCancel(b.ctx)) })
	c := client{Tx: tx}
	if err := tx.QueryRow(b.ctx, "SELECT pg_current_xact_id()::text").Scan(&c.xid); err != nil {
		b.t.Fatal(err)
	}
	return c
}

func (b *bundle) intent(l *ledger.Ledger, c client, ops ...string) []int64 {
	b.t.Helper()
	st := ledger.Statement{Role: "app", Application: "test", Kind: "update", PID: 1, XID: c.xid}
	for i, op := range ops {
		change := ledger.Change{Table: "issue", Op: op, RepositoryID: 7, Columns: map[string]json.RawMessage{"title": json.RawMessage(`"x"`)}}
		if op != "insert" {
			change.RowID, change.Number = int64(100+i), int64(1+i)
		}
		st.Changes = append(st.Changes, change)
	}
	ids, err := l.Intent(b.ctx, st)
	if err != nil {
		b.t.Fatal(err)
	}
	return ids
}

func (b *bundle) claim(l *ledger.Ledger, busy ...int64) []ledger.Entry {
	b.t.Helper()
	entries, err := l.Claim(b.ctx, busy, 10)
	if err != nil {
		b.t.Fatal(err)
	}
	return entries
}

func TestIntentOfOneStatementBelongsTogether(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.client()
	first, second := b.intent(b.Ledger, c, "insert", "update"), b.intent(b.Ledger, c, "delete")
	var statements, ordinals int
	err := b.pool.QueryRow(b.ctx, "SELECT count(DISTINCT statement), max(ordinal) FROM pghub.write WHERE id = ANY($1)", append(first, second...)).Scan(&statements, &ordinals)
	if err != nil || statements != 2 || ordinals != 1 || len(first) != 2 {
		t.Errorf("%d statements, highest ordinal %d, %v", statements, ordinals, err)
	}
}

// TestClaim: an entry is there to be repaired when its transaction has ended and nobody is at work on it.
func TestClaim(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(context.Context, pgx.Tx) error{
		"committed":   func(ctx context.Context, tx pgx.Tx) error { return tx.Commit(ctx) },
		"rolled back": func(ctx context.Context, tx pgx.Tx) error { return tx.Rollback(ctx) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			c := b.client()
			ids := b.intent(b.Ledger, c, "insert", "update")
			if err := b.Record(b.ctx, ids[0], ledger.Outcome{Status: ledger.StatusAnswered, RowID: 55, Number: 5, Requests: 1, RequestID: "A:1"}); err != nil {
				t.Fatal(err)
			}
			if got := b.claim(b.Ledger); len(got) != 0 {
				t.Fatalf("claimed while the transaction is open: %+v", got)
			}
			if err := end(b.ctx, c.Tx); err != nil {
				t.Fatal(err)
			}
			if got := b.claim(b.Ledger, ids...); len(got) != 0 {
				t.Fatalf("claimed while busy: %+v", got)
			}
			got := b.claim(b.Ledger, ids[1])
			if len(got) != 1 || got[0].ID != ids[0] || got[0].RowID != 55 || got[0].Number != 5 || got[0].Status != ledger.StatusAnswered || string(got[0].Columns["title"]) != `"x"` {
				t.Fatalf("claimed %+v", got)
			}
			if again := b.claim(b.Ledger, ids[1]); len(again) != 0 {
				t.Errorf("claimed twice: %+v", again)
			}
			if err := b.Retry(b.ctx, ids[0], 0, "GitHub was away"); err != nil {
				t.Fatal(err)
			}
			if again := b.claim(b.Ledger, ids[1]); len(again) != 1 || again[0].Attempts != 2 {
				t.Errorf("after Retry: %+v", again)
			}
			if err := b.RecordAll(b.ctx, ids, []ledger.Outcome{{Status: ledger.StatusRepaired}, {Status: ledger.StatusCommitted}}); err != nil {
				t.Fatal(err)
			}
			if err := b.Record(b.ctx, ids[0], ledger.Outcome{Status: ledger.StatusAnswered}); err != nil {
				t.Fatal(err)
			}
			var open int
			if err := b.pool.QueryRow(b.ctx, "SELECT count(*) FROM pghub.write WHERE closed_at IS NULL").Scan(&open); err != nil || open != 0 {
				t.Errorf("%d entries are open (%v): a closed one must stay closed", open, err)
			}
		})
	}
}

// TestClaimOfOtherProxies: what a living proxy has under way is left to it; a dead one's is taken.
func TestClaimOfOtherProxies(t *testing.T) {
	t.Parallel()
	b := setup(t)
	other := another(t, b.pool)
	lease, end := context.WithCancel(b.ctx)
	done := make(chan struct{})
	go func() { other.HoldLease(lease); close(done) }()
	b.eventually("the other proxy holds its lock", func() (n int) {
		if err := b.pool.QueryRow(b.ctx, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}, 1)
	c := b.client()
	b.intent(other, c, "update")
	if err := c.Rollback(b.ctx); err != nil {
		t.Fatal(err)
	}
	if got := b.claim(b.Ledger); len(got) != 0 {
		t.Errorf("claimed from a living proxy: %+v", got)
	}
	end()
	<-done
	b.eventually("the dead proxy's entry is claimed", func() int { return len(b.claim(b.Ledger)) }, 1)
}

func TestOpenCreate(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ids := b.intent(b.Ledger, b.client(), "insert", "update")
	open := func() (n, unknown int) {
		if err := b.pool.QueryRow(b.ctx, "SELECT count(*), count(*) FILTER (WHERE row_id IS NULL) FROM pghub.open_create").Scan(&n, &unknown); err != nil {
			t.Fatal(err)
		}
		return n, unknown
	}
	if n, unknown := open(); n != 1 || unknown != 1 {
		t.Errorf("before the answer: %d open, %d unknown", n, unknown)
	}
	b.Record(b.ctx, ids[0], ledger.Outcome{Status: ledger.StatusAnswered, RowID: 9})
	if n, unknown := open(); n != 1 || unknown != 0 {
		t.Errorf("after the answer: %d open, %d unknown", n, unknown)
	}
	b.Record(b.ctx, ids[0], ledger.Outcome{Status: ledger.StatusCommitted})
	if n, _ := open(); n != 0 {
		t.Errorf("after the commit: %d open", n)
	}
}

func (b *bundle) eventually(what string, count func() int, want int) {
	b.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for count() != want {
		select {
		case <-b.ctx.Done():
			b.t.Fatalf("waiting until %s: %v", what, b.ctx.Err())
		case <-tick.C:
		}
	}
}
