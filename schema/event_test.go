package schema_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pghub/pghub/schema"
)

// events lists what the change stream holds after an id, in short: "updated issue 7 [state,title] poll".
func events(t testing.TB, pool *pgxpool.Pool, after int64) []string {
	t.Helper()
	return query(t, pool, `SELECT concat_ws(' ', action, table_name, row_id, changed, origin) FROM github.event WHERE id > $1 ORDER BY id`, after)
}

// lastEvent is the id of the newest event.
func lastEvent(t testing.TB, pool *pgxpool.Pool) (id int64) {
	t.Helper()
	if err := pool.QueryRow(testContext(t), `SELECT coalesce(max(id), 0) FROM github.event`).Scan(&id); err != nil {
		t.Fatal(err)
	}
	return id
}

func wantEvents(t *testing.T, pool *pgxpool.Pool, after int64, want ...string) {
	t.Helper()
	if got := events(t, pool, after); !slices.Equal(got, want) {
		t.Errorf("events:\n  %s\nwant:\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// TestEveryChangeHasItsEvent goes through what Upsert and Delete do to rows.
func TestEveryChangeHasItsEvent(t *testing.T) {
	t.Parallel()
	ctx, pool, _ := mirror(t)
	label := labelObject(70, "bug")
	issue := issueObject(100, 1, octocat).with(object{"labels": []object{label}})
	comment := commentObject(200, 1, octocat)
	store := func(origin schema.Origin, rows ...schema.Row) {
		t.Helper()
		err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			_, err := schema.Upsert(schema.WithOrigin(ctx, origin), tx, rows, time.Now())
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}

	last := lastEvent(t, pool)
	store(schema.OriginBackfill, append(rowsOf(t, schema.Issue, issue, one), rowsOf(t, schema.IssueComment, comment, one)...)...)
	wantEvents(t, pool, last, "created label 70 backfill", "created issue 100 backfill", "created issue_comment 200 backfill")

	last = lastEvent(t, pool)
	store(schema.OriginPoll, rowsOf(t, schema.Issue, issue, one)...)
	exec(t, pool, `UPDATE github.issue SET synced_at = clock_timestamp()`)
	wantEvents(t, pool, last)

	store(schema.OriginWebhook, rowsOf(t, schema.Issue, issue.with(object{"title": "Other", "state": "closed", "updated_at": at(11)}), one)...)
	wantEvents(t, pool, last, "updated issue 100 {payload,state,title,updated_at} webhook")
	compare(t, query(t, pool, `
		SELECT concat_ws(' ', old->>'title', data->>'title', old->>'state', data->>'state', old->'payload'->>'title', data->'payload'->>'title', repository_id)
		FROM github.event WHERE id > $1`, last), []string{fmt.Sprintf("Issue 1 Other open closed Issue 1 Other %d", repositoryOne)})
	compare(t, query(t, pool, `
		SELECT (e.data = to_jsonb(i) AND jsonb_object_length.n = 4)::text FROM github.event e JOIN github.issue i ON i.id = e.row_id,
		       LATERAL (SELECT count(*) AS n FROM jsonb_object_keys(e.old)) jsonb_object_length WHERE e.id > $1 AND current_setting('TimeZone') = 'UTC'
		UNION ALL SELECT 'true' WHERE current_setting('TimeZone') <> 'UTC'`, last), []string{"true"})

	last = lastEvent(t, pool)
	store(schema.OriginPoll, rowsOf(t, schema.Label, labelObject(70, "defect"), one)...)
	wantEvents(t, pool, last, "updated issue 100 {labels,payload} poll", "updated label 70 {description,name,payload,url} poll")

	last = lastEvent(t, pool)
	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		return schema.Delete(schema.WithOrigin(ctx, schema.OriginRepair), tx, schema.Issue, []int64{100})
	})
	if err != nil {
		t.Fatal(err)
	}
	wantEvents(t, pool, last, "deleted issue_comment 200 repair", "deleted issue 100 repair")
	compare(t, query(t, pool, `SELECT data->>'title' FROM github.event WHERE id > $1 AND table_name = 'issue'`, last), []string{"Other"})

	last = lastEvent(t, pool)
	tx, err := pool.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := schema.Upsert(ctx, tx, rowsOf(t, schema.Issue, issueObject(101, 2, octocat), one), time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := tx.Rollback(ctx); err != nil {
		t.Fatal(err)
	}
	wantEvents(t, pool, last)

	// What nobody gave an origin; and the setting of one transaction does not reach the next of its session.
	upsert(t, pool, rowsOf(t, schema.Label, labelObject(71, "new"), one)...)
	wantEvents(t, pool, last, "created label 71 sync")
}

// TestUpdatesInBulkHaveTheirOwnOldValues pairs old and new rows of one statement over many rows.
func TestUpdatesInBulkHaveTheirOwnOldValues(t *testing.T) {
	t.Parallel()
	_, pool, _ := mirror(t)
	var rows, changed []schema.Row
	for n := range int64(2000) {
		o := issueObject(1000+n, 1+n, octocat)
		rows = append(rows, rowsOf(t, schema.Issue, o, one)...)
		changed = append(changed, rowsOf(t, schema.Issue, o.with(object{"title": fmt.Sprintf("now %d", 1+n), "updated_at": at(11)}), one)...)
	}
	upsert(t, pool, rows[0]) // a plan for one row must serve two thousand
	upsert(t, pool, rows...)
	last := lastEvent(t, pool)
	upsert(t, pool, changed...)
	compare(t, query(t, pool, `SELECT concat_ws(' ', count(*), count(DISTINCT row_id)) FROM github.event
		WHERE id > $1 AND action = 'updated' AND old->>'title' = 'Issue ' || (data->>'number') AND data->>'title' = 'now ' || (data->>'number')`, last),
		[]string{"2000 2000"})
	if n := len(events(t, pool, last)); n != 2000 {
		t.Errorf("%d events for 2000 updates", n)
	}
}

// TestNotifyOncePerTransactionAndTable listens while pages of rows arrive.
func TestNotifyOncePerTransactionAndTable(t *testing.T) {
	t.Parallel()
	ctx, pool, url := mirror(t)
	listener := connect(t, url)
	if _, err := listener.Exec(ctx, "LISTEN "+schema.EventChannel); err != nil {
		t.Fatal(err)
	}
	var rows []schema.Row
	for n := range int64(300) {
		rows = append(rows, rowsOf(t, schema.Issue, issueObject(100+n, 1+n, octocat).with(object{"labels": []object{labelObject(5, "a")}}), one)...)
	}
	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		for _, page := range [][]schema.Row{rows[:300], rows[300:]} {
			if _, err := schema.Upsert(ctx, tx, page, time.Now()); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, `SELECT pg_notify($1, 'the end')`, schema.EventChannel)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for !slices.Contains(got, "the end") {
		n, err := listener.WaitForNotification(ctx)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, n.Payload)
	}
	slices.Sort(got)
	if want := []string{"issue", "label", "the end"}; !slices.Equal(got, want) {
		t.Errorf("notifications %q, want %q", got, want)
	}
}

// TestClientsCannotWriteEvents: readers and writers may read the stream, and nothing else.
func TestClientsCannotWriteEvents(t *testing.T) {
	t.Parallel()
	_, pool, _ := mirror(t)
	for _, role := range []string{schema.RoleReader, schema.RoleWriter} {
		compare(t, query(t, pool, `
			SELECT p || ' ' || c.relname FROM pg_class c, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) p
			WHERE c.oid IN (SELECT 'github.event'::regclass UNION SELECT inhrelid FROM pg_inherits WHERE inhparent = 'github.event'::regclass
			                UNION SELECT 'pghub.event_replaced'::regclass)
			  AND has_table_privilege($1, c.oid, p)`, role), []string{"SELECT event"})
	}
}

// consume runs one batch of a consumer as the SQL example of docs/change-stream.md does: its place and what it makes of
// the events change in one transaction.
func consume(ctx context.Context, conn *pgx.Conn, limit int) (n int, err error) {
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		var place int64
		if err := tx.QueryRow(ctx, `SELECT place FROM public.consumer FOR UPDATE`).Scan(&place); err != nil {
			return err
		}
		return tx.QueryRow(ctx, `
			WITH batch AS MATERIALIZED (SELECT * FROM github.event_after($1, $2)),
			kept AS (INSERT INTO public.seen (id, row_id, title) SELECT id, row_id, data->>'title' FROM batch ORDER BY id)
			UPDATE public.consumer SET place = greatest((SELECT max(id) FROM batch), place)
			RETURNING (SELECT count(*) FROM batch)`, place, limit).Scan(&n)
	})
	return n, err
}

// TestConsumersGetEachEventOnceAndInOrder has writers whose transactions overlap, so that lower ids are committed after
// higher ones, and rows that several of them change; two consumers take turns meanwhile.
func TestConsumersGetEachEventOnceAndInOrder(t *testing.T) {
	t.Parallel()
	ctx, pool, url := mirror(t)
	admin := connect(t, url)
	for _, sql := range []string{
		`CREATE TABLE public.consumer (place bigint NOT NULL)`, `INSERT INTO public.consumer VALUES (0)`,
		`CREATE TABLE public.seen (nr bigint GENERATED ALWAYS AS IDENTITY, id bigint PRIMARY KEY, row_id bigint, title text)`,
	} {
		if _, err := admin.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	const writers, rounds, rows = 6, 20, 5
	for n := range int64(rows) {
		upsert(t, pool, rowsOf(t, schema.Issue, issueObject(100+n, 1+n, octocat).with(object{"title": "0"}), one)...)
	}
	labels := map[string][]schema.Row{}
	for w := range writers {
		for r := range rounds {
			name := fmt.Sprintf("label %d %d", w, r)
			labels[name] = rowsOf(t, schema.Label, labelObject(int64(1000+w*rounds+r), name), one)
		}
	}
	failed := make(chan error, writers+2)
	writing := make(chan struct{}, writers)
	for w := range writers {
		go func() {
			defer func() { writing <- struct{}{} }()
			for r := range rounds {
				err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
					if r%3 == 0 {
						// This event has its id, and those of other writers overtake it.
						name := fmt.Sprintf("label %d %d", w, r)
						if _, err := schema.Upsert(ctx, tx, labels[name], time.Now()); err != nil {
							return err
						}
						if _, err := tx.Exec(ctx, `SELECT pg_sleep(0.002)`); err != nil {
							return err
						}
					}
					_, err := tx.Exec(ctx, `UPDATE github.issue SET title = (title::int + 1)::text WHERE id = $1`, 100+(w+r)%rows)
					return err
				})
				if err != nil {
					failed <- err
					return
				}
			}
		}()
	}
	stop, stopped := make(chan struct{}), make(chan struct{}, 2)
	for range 2 {
		conn := connect(t, url)
		go func() {
			defer func() { stopped <- struct{}{} }()
			for last := false; ; {
				select {
				case <-stop:
					last = true // only what is asked from now on tells that there is no more
				case <-time.After(time.Millisecond): // leave the processors to the writers
				}
				n, err := consume(ctx, conn, 7)
				if err != nil {
					failed <- err
					return
				}
				if last && n == 0 {
					return
				}
			}
		}()
	}
	for range writers {
		<-writing
	}
	close(stop)
	<-stopped
	<-stopped
	select {
	case err := <-failed:
		t.Fatal(err)
	default:
	}
	compare(t, query(t, admin, `SELECT concat_ws(' ', e.id, e.table_name, e.row_id) FROM github.event e FULL JOIN public.seen s USING (id) WHERE e.id IS NULL OR s.id IS NULL`), nil)
	compare(t, query(t, admin, `
		SELECT format('issue %s: title %s in place %s', row_id, title, place) FROM (
			SELECT row_id, title, row_number() OVER (PARTITION BY row_id ORDER BY nr) - 1 AS place FROM public.seen
			WHERE row_id BETWEEN 100 AND 999) s
		WHERE title::int <> place`), nil)
	var changes int
	if err := admin.QueryRow(ctx, `SELECT count(*) FROM public.seen WHERE row_id BETWEEN 100 AND 999 AND title <> '0'`).Scan(&changes); err != nil || changes != writers*rounds {
		t.Errorf("%d changes of issues were seen, want %d (%v)", changes, writers*rounds, err)
	}
}

// TestConsumerOfTheDocumentation runs the SQL of docs/change-stream.md as it stands there.
func TestConsumerOfTheDocumentation(t *testing.T) {
	t.Parallel()
	ctx, pool, url := mirror(t)
	text, err := os.ReadFile("../docs/change-stream.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```sql\n")
	block, _, _ := strings.Cut(rest, "```")
	setUp, batch, ok := strings.Cut(block, "BEGIN;")
	if !ok {
		t.Fatalf("no consumer in %q", block)
	}
	admin := connect(t, url)
	run := func(sql string) {
		t.Helper()
		if _, err := admin.PgConn().Exec(ctx, sql).ReadAll(); err != nil {
			t.Fatal(err)
		}
	}
	run(setUp)
	o := issueObject(100, 1, octocat)
	upsert(t, pool, rowsOf(t, schema.Issue, o, one)...)
	run("BEGIN;" + batch)
	compare(t, query(t, admin, `SELECT title FROM closed_issue`), nil)
	upsert(t, pool, rowsOf(t, schema.Issue, o.with(object{"state": "closed", "updated_at": at(11)}), one)...)
	for range 2 {
		run("BEGIN;" + batch)
		compare(t, query(t, admin, `SELECT title FROM closed_issue`), []string{"Issue 1"})
	}
	compare(t, query(t, admin, `SELECT count(*)::text FROM github.event_after((SELECT place FROM consumer))`), []string{"0"})
}
