package syncer

import (
	"fmt"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pghub/pghub/internal/githubsim"
	"github.com/pghub/pghub/schema"
)

// TestSyncHasEvents: what the syncer changes is in the change stream once, and says how it came. Whatever has happened,
// the last events of all rows together are the mirror.
func TestSyncHasEvents(t *testing.T) {
	t.Parallel()
	b, _, h, repos := follow(t, githubsim.Config{Seed: 97, Repos: 2, Issues: 20})
	repo := repos[0]
	origins := func(after int64, condition string, args ...any) []string {
		t.Helper()
		return scan[[]string](b, `SELECT coalesce(array_agg(concat_ws(' ', action, table_name, origin) ORDER BY id), '{}') FROM github.event
			WHERE id > $1 AND `+condition, append([]any{after}, args...)...)
	}
	last := func() int64 { return scan[int64](b, `SELECT max(id) FROM github.event`) }
	if n := scan[int64](b, `SELECT count(*) FROM github.event WHERE table_name = 'issue' AND (action, origin) <> ('created', 'backfill')`); n > 0 {
		t.Errorf("%d events of the backfill are something else than rows created", n)
	}
	if n := scan[int64](b, `SELECT count(*) FROM github.event e FULL JOIN github.issue i ON e.table_name = 'issue' AND e.row_id = i.id
		WHERE (e.table_name = 'issue' OR i.id IS NOT NULL) AND (e.id IS NULL OR i.id IS NULL)`); n > 0 {
		t.Errorf("%d issues without an event, or events without their issue", n)
	}

	before := last()
	n := b.open(repo, map[string]any{"title": "by webhook"})
	h.deliver(h.take()...)
	if got := origins(before, `table_name = 'issue'`); !slices.Equal(got, []string{"created issue webhook"}) {
		t.Errorf("events of a webhook: %q", got)
	}
	before = last()
	b.must(b.sim.DeleteIssue(repo, n))
	h.deliver(h.take()...)
	if got := origins(before, `table_name = 'issue'`); !slices.Equal(got, []string{"deleted issue webhook"}) {
		t.Errorf("events of a webhook: %q", got)
	}

	before = last()
	n = b.open(repo, map[string]any{"title": "by poll", "labels": []string{"bug"}})
	h.take()
	b.poll()
	b.same(repos...)
	if got := origins(before, `table_name = 'issue' AND data->>'number' = $2 AND repository_id = (SELECT id FROM github.repository WHERE full_name = $3)`, fmt.Sprint(n), repo); !slices.Equal(got, []string{"created issue poll"}) {
		t.Errorf("events of a poll: %q", got)
	}
	b.quiet()
	before = last()
	b.call("PATCH", "repos/"+repo+"/labels/bug", map[string]any{"new_name": "defect"})
	h.take()
	b.poll()
	b.same(repos...)
	labels := origins(before, `table_name = 'label'`)
	renamed := scan[int64](b, `SELECT count(*) FROM github.event WHERE id > $1 AND table_name = 'issue' AND 'labels' = ANY (changed) AND old->'labels' ? 'bug' AND data->'labels' ? 'defect'`, before)
	if carry := scan[int64](b, `SELECT count(*) FROM github.issue WHERE 'defect' = ANY (labels)`); !slices.Equal(labels, []string{"updated label poll"}) || renamed != carry || carry == 0 {
		t.Errorf("a renamed label: events %q, and %d for the %d issues that carry it", labels, renamed, carry)
	}

	b.quiet()
	for _, table := range schema.Tables {
		tx, err := b.pool.Begin(b.ctx)
		if err != nil {
			t.Fatal(err)
		}
		var wrong int
		_, err = tx.Exec(b.ctx, `SET LOCAL TimeZone = 'UTC'`)
		if err == nil {
			err = tx.QueryRow(b.ctx, `
				SELECT count(*) FROM (SELECT DISTINCT ON (row_id) * FROM github.event WHERE table_name = $1 ORDER BY row_id, id DESC) e
				FULL JOIN `+pgx.Identifier{schema.Name, table.Name}.Sanitize()+` x ON x.id = e.row_id
				WHERE e.id IS NULL OR (x.id IS NULL) <> (e.action = 'deleted')
				   OR x.id IS NOT NULL AND e.data - 'synced_at' IS DISTINCT FROM to_jsonb(x) - 'synced_at'`, table.Name).Scan(&wrong)
		}
		if err != nil || wrong > 0 {
			t.Errorf("%s: the last events of %d rows are not the mirror (%v)", table.Name, wrong, err)
		}
		if err := tx.Rollback(b.ctx); err != nil {
			t.Fatal(err)
		}
	}
}

// TestEventPartitionsAreKept: a syncer makes the partitions that are missing.
func TestEventPartitionsAreKept(t *testing.T) {
	t.Parallel()
	b := setup(t, githubsim.Config{Seed: 98, Repos: 1, Issues: 1})
	const count = `SELECT count(*) FROM pg_inherits WHERE inhparent = 'github.event'::regclass`
	all := scan[int64](b, count)
	b.exec(`DO $$ BEGIN EXECUTE (SELECT 'DROP TABLE pghub.' || max(relname) FROM pg_class WHERE relispartition AND relkind = 'r' AND relname ~ '^event_[0-9]+$'); END $$`)
	if left := scan[int64](b, count); left != all-1 {
		t.Fatalf("%d of %d partitions are left", left, all)
	}
	b.start(options{repos: b.repos()})
	b.eventually("the partition is there again", func() string {
		if n := scan[int64](b, count); n != all {
			return fmt.Sprintf("%d of %d", n, all)
		}
		return ""
	})
}
