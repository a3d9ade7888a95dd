package proxy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// lastEvent is the id of the newest event.
func (b *bundle) lastEvent() (id int64) {
	b.t.Helper()
	if err := b.pool.QueryRow(b.ctx, `SELECT coalesce(max(id), 0) FROM github.event`).Scan(&id); err != nil {
		b.t.Fatal(err)
	}
	return id
}

// events lists what the change stream holds of issues and comments after an id: "updated issue 7 [title] write".
func (b *bundle) events(after int64) []string {
	b.t.Helper()
	rows, err := b.pool.Query(b.ctx, `
		SELECT concat_ws(' ', action, table_name, data->>'number', array_remove(array_remove(changed, 'payload'), 'updated_at'), origin) FROM github.event
		WHERE id > $1 AND table_name IN ('issue', 'issue_comment') ORDER BY id`, after)
	if err != nil {
		b.t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		b.t.Fatal(err)
	}
	return list
}

func (b *bundle) wantEvents(after int64, want ...string) {
	b.t.Helper()
	if got := b.events(after); !slices.Equal(got, want) {
		b.t.Errorf("events:\n  %s\nwant:\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// TestWritesHaveEvents: every write of a client is in the change stream, once, if its transaction is committed.
func TestWritesHaveEvents(t *testing.T) {
	t.Parallel()
	b := setup(t)
	conn, _ := b.connect(pgx.QueryExecModeCacheStatement)
	do := func(sql string, args ...any) {
		t.Helper()
		if _, err := conn.Exec(b.ctx, sql, args...); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	n := b.numbers(3)

	last := b.lastEvent()
	var number, id int64
	if err := conn.QueryRow(b.ctx, `INSERT INTO issue (repository_id, title) VALUES ($1, 'new') RETURNING number, id`, b.repo).Scan(&number, &id); err != nil {
		t.Fatal(err)
	}
	b.wantEvents(last, fmt.Sprintf("created issue %d write", number))

	last = b.lastEvent()
	do(`UPDATE issue SET title = 'newer' WHERE repository_id = $1 AND number = $2`, b.repo, number)
	b.wantEvents(last, fmt.Sprintf("updated issue %d {title} write", number))
	do(`UPDATE issue SET title = title WHERE repository_id = $1 AND number = ANY ($2)`, b.repo, n)
	b.wantEvents(last, fmt.Sprintf("updated issue %d {title} write", number))

	last = b.lastEvent()
	do(`INSERT INTO issue (id, repository_id, title) VALUES ($1, $2, 'x') ON CONFLICT (id) DO UPDATE SET title = 'merged'`, id, b.repo)
	b.wantEvents(last, fmt.Sprintf("updated issue %d {title} write", number))

	last = b.lastEvent()
	do(`DELETE FROM issue WHERE id = $1`, id)
	b.wantEvents(last, fmt.Sprintf("deleted issue %d write", number))

	// A rolled-back write leaves no event of its own; the repair that follows has one.
	last = b.lastEvent()
	tx, err := conn.Begin(b.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(b.ctx, `UPDATE issue SET title = 'undone' WHERE repository_id = $1 AND number = $2`, b.repo, n[0]); err != nil {
		t.Fatal(err)
	}
	b.wantEvents(last)
	if err := tx.Rollback(b.ctx); err != nil {
		t.Fatal(err)
	}
	b.settled()
	b.wantEvents(last, fmt.Sprintf("updated issue %d {title} repair", n[0]))

	var left int
	if err := b.pool.QueryRow(b.ctx, `SELECT count(*) FROM pghub.event_replaced`).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d rows left of replaced ones (%v)", left, err)
	}
}

// TestDeletedIssueAndCommentsHaveEvents: the comments that go with an issue.
func TestDeletedIssueAndCommentsHaveEvents(t *testing.T) {
	t.Parallel()
	b := setup(t)
	conn, _ := b.connect(pgx.QueryExecModeCacheStatement)
	var id, comments, number int64
	if err := b.pool.QueryRow(b.ctx, `SELECT issue_id, count(*), min(issue_number) FROM github.issue_comment WHERE issue_id IS NOT NULL GROUP BY 1 LIMIT 1`).Scan(&id, &comments, &number); err != nil {
		t.Fatal(err)
	}
	last := b.lastEvent()
	if _, err := conn.Exec(b.ctx, `DELETE FROM issue WHERE id = $1`, id); err != nil {
		t.Fatal(err)
	}
	want := slices.Repeat([]string{"deleted issue_comment write"}, int(comments))
	b.wantEvents(last, append(want, fmt.Sprintf("deleted issue %d write", number))...)
}
