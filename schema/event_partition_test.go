package schema_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pghub/pghub/schema"
)

const putEvent = `INSERT INTO github.event (occurred_at, table_name, row_id, action, origin, data) VALUES ($1, 'issue', $2, 'created', 'test', '{}')`

// partitions lists those of github.event with their numbers of rows.
const partitions = `
	SELECT c.relname || ' ' || (xpath('/row/c/text()', query_to_xml('SELECT count(*) AS c FROM ' || c.oid::regclass, false, true, '')))[1]::text
	FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'github.event'::regclass ORDER BY 1`

// monday is the first moment of a week, and of its partition.
func monday(t time.Time) time.Time {
	day := t.UTC().Truncate(24 * time.Hour)
	return day.AddDate(0, 0, -(int(day.Weekday())+6)%7)
}

// TestPartitionsComeAndGo moves the time that maintain_events is told through two months.
func TestPartitionsComeAndGo(t *testing.T) {
	t.Parallel()
	ctx, pool, _ := migrated(t)
	week := monday(time.Now())
	name := func(weeks int) string { return week.AddDate(0, 0, 7*weeks).Format("event_20060102") }
	if got := query(t, pool, partitions); !slices.Contains(got, name(0)+" 0") || !slices.Contains(got, name(4)+" 0") && !slices.Contains(got, name(3)+" 0") {
		t.Fatalf("after the migration there are only the partitions %q", got)
	}
	if got := query(t, pool, `SELECT pghub.maintain_events()`); len(got) != 0 {
		t.Errorf("maintenance has something to do at once: %q", got)
	}

	// Events of a week without partition go to the default one, and move when their week is made.
	later := week.AddDate(0, 0, 70)
	exec(t, pool, putEvent, week.Add(time.Hour), 1)
	exec(t, pool, putEvent, later.Add(time.Hour), 2)
	exec(t, pool, putEvent, later.AddDate(0, 0, 6).Add(24*time.Hour-time.Microsecond), 3)
	exec(t, pool, putEvent, later.AddDate(0, 0, -35), 4)
	if got := query(t, pool, partitions); !slices.Contains(got, "event_default 3") || !slices.Contains(got, name(0)+" 1") {
		t.Fatalf("partitions: %q", got)
	}
	first := query(t, pool, `SELECT id::text FROM github.event_after(0, 1)`)[0]

	got := query(t, pool, `SELECT pghub.maintain_events($1)`, later)
	if !slices.Contains(got, "made "+name(10)+", 2 events moved into it") || !slices.Contains(got, "dropped "+name(0)) {
		t.Errorf("maintenance did %q", got)
	}
	now := query(t, pool, partitions)
	if !slices.Contains(now, "event_default 0") || !slices.Contains(now, name(10)+" 2") || slices.ContainsFunc(now, func(p string) bool { return strings.HasPrefix(p, name(5)) }) {
		t.Errorf("partitions: %q", now)
	}
	compare(t, query(t, pool, `SELECT row_id::text FROM github.event`), []string{"2", "3"})
	if owners := query(t, pool, `SELECT DISTINCT relowner::regrole::text FROM pg_class WHERE relname LIKE 'event%' AND relnamespace = 'pghub'::regnamespace`); !slices.Equal(owners, []string{schema.RoleSync}) {
		t.Errorf("partitions belong to %q", owners)
	}

	// Event 4 came after the first cursor and is gone: its consumer must hear of it. One that starts anew does not care.
	_, err := pool.Exec(ctx, `SELECT * FROM github.event_after($1::text::bigint)`, first)
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.Code != "55000" || !strings.Contains(pg.Message, "dropped") {
		t.Errorf("a cursor whose events are gone: %v", err)
	}
	compare(t, query(t, pool, `SELECT row_id::text FROM github.event_after()`), []string{"2", "3"})
	compare(t, query(t, pool, `SELECT count(*)::text FROM github.event_after(github.event_cursor())`), []string{"0"})
	err = pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `SELECT * FROM github.event_after()`)
		return err
	})
	if !errors.As(err, &pg) || pg.Code != "55000" || !strings.Contains(pg.Message, "READ COMMITTED") {
		t.Errorf("reading in an older snapshot: %v", err)
	}
}

// TestMaintenanceWaitsForNobody: a client's open transaction that wrote events forbids dropping, and stops neither the
// maintenance, nor new partitions, nor other writers.
func TestMaintenanceWaitsForNobody(t *testing.T) {
	t.Parallel()
	ctx, pool, _ := migrated(t)
	tx, err := pool.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	exec(t, tx, putEvent, time.Now(), 1)
	later := time.Now().AddDate(0, 0, 50)
	got := query(t, pool, `SELECT pghub.maintain_events($1)`, later)
	week := monday(time.Now()).Format("event_20060102")
	if !slices.Contains(got, "postponed dropping "+week) || !slices.Contains(got, "made "+monday(later).Format("event_20060102")) {
		t.Errorf("maintenance did %q", got)
	}
	exec(t, pool, putEvent, time.Now(), 2)
	if err := tx.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if got := query(t, pool, `SELECT pghub.maintain_events($1)`, later); !slices.Contains(got, "dropped "+week) {
		t.Errorf("maintenance did %q", got)
	}
}

// TestPublicationCarriesEvents reads the publication by logical decoding, as a subscriber sees it: as one table.
func TestPublicationCarriesEvents(t *testing.T) {
	t.Parallel()
	ctx, pool, url := mirror(t)
	admin := connect(t, url)
	slot := fmt.Sprintf("pghub_test_%d", time.Now().UnixNano())
	if _, err := admin.Exec(ctx, `SELECT pg_create_logical_replication_slot($1, 'pgoutput')`, slot); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn, err := pgx.Connect(context.Background(), url)
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close(context.Background())
		if _, err := conn.Exec(context.Background(), `SELECT pg_drop_replication_slot($1)`, slot); err != nil {
			t.Error(err)
		}
	})
	upsert(t, pool, rowsOf(t, schema.Issue, issueObject(100, 1, octocat).with(object{"title": "through the slot"}), one)...)
	exec(t, pool, `DELETE FROM github.event`) // as retention does: not published
	exec(t, pool, `UPDATE github.issue SET title = 'and again' WHERE id = 100`)
	var event uint32
	if err := admin.QueryRow(ctx, `SELECT 'github.event'::regclass::oid`).Scan(&event); err != nil {
		t.Fatal(err)
	}
	kinds := map[byte]int{}
	var inserts []byte
	for !bytes.Contains(inserts, []byte("and again")) { // commits of the test cluster reach the log a little later
		rows, err := admin.Query(ctx, `SELECT data FROM pg_logical_slot_get_binary_changes($1, NULL, NULL, 'proto_version', '1', 'publication_names', $2)`, slot, schema.Publication)
		if err != nil {
			t.Fatal(err)
		}
		messages, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range messages {
			kinds[m[0]]++
			switch m[0] {
			case 'I':
				if got := binary.BigEndian.Uint32(m[1:]); got != event {
					t.Errorf("an insert into relation %d rather than github.event (%d)", got, event)
				}
				inserts = append(inserts, m...)
			}
		}
	}
	if kinds['I'] != 2 || kinds['U']+kinds['D'] != 0 || !bytes.Contains(inserts, []byte("through the slot")) {
		t.Errorf("messages %v", kinds)
	}
}

// TestMigrateWithoutRightToPublish: the mirror works without the publication.
func TestMigrateWithoutRightToPublish(t *testing.T) {
	t.Parallel()
	ctx, _, url := migrated(t)
	admin := connect(t, url)
	exec(t, admin, "DROP PUBLICATION "+schema.Publication)
	config := admin.Config()
	user := fmt.Sprintf("event_migrator_%d", time.Now().UnixNano())
	exec(t, admin, fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD 'x' IN ROLE pghub_sync", user))
	t.Cleanup(func() {
		conn, err := pgx.Connect(context.Background(), url)
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close(context.Background())
		if _, err := conn.Exec(context.Background(), "DROP ROLE "+user); err != nil {
			t.Error(err)
		}
	})
	limited := fmt.Sprintf("postgres:///%s?host=%s&port=%d&user=%s&password=x", config.Database, config.Host, config.Port, user)
	if err := schema.Migrate(ctx, limited); err != nil {
		t.Fatalf("migrating without CREATE on the database: %v", err)
	}
	compare(t, query(t, admin, `SELECT pubname::text FROM pg_publication`), nil)
	exec(t, admin, fmt.Sprintf("DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %%I TO %s', current_database()); END $$", user))
	if err := schema.Migrate(ctx, limited); err != nil {
		t.Fatal(err)
	}
	compare(t, query(t, admin, `SELECT pubname::text FROM pg_publication`), []string{schema.Publication})
	exec(t, admin, fmt.Sprintf("DO $$ BEGIN EXECUTE format('REVOKE CREATE ON DATABASE %%I FROM %s', current_database()); END $$", user))
	exec(t, admin, "ALTER PUBLICATION "+schema.Publication+" OWNER TO "+config.User)
}
