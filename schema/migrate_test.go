package schema_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/errgroup"

	"github.com/pghub/pghub/internal/embedpg/embedpgtest"
	"github.com/pghub/pghub/schema"
)

func TestMigrateTwiceAndConcurrently(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	var group errgroup.Group
	for range 2 { // several databases of one cluster, because roles are shared among them
		url := embedpgtest.URL(t)
		for range 3 {
			group.Go(func() error { return schema.Migrate(ctx, url) })
		}
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	url := embedpgtest.URL(t)
	for range 2 {
		if err := schema.Migrate(ctx, url); err != nil {
			t.Fatal(err)
		}
	}
}

func TestMigrateWaitsNoLongerThanItsContext(t *testing.T) {
	t.Parallel()
	url := embedpgtest.URL(t)
	other := connect(t, url)
	if _, err := other.Exec(testContext(t), `SELECT pg_advisory_lock($1)`, int64(0x7067687562)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(testContext(t))
	done := make(chan error, 1)
	go func() { done <- schema.Migrate(ctx, url) }()
	waitFor(t, func() bool {
		return len(query(t, other, `SELECT 'waiting' FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%pg_try_advisory_lock%' AND pid <> pg_backend_pid()`)) > 0
	})
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want the context's error", err)
	}
}

func TestMigrateRefusesOtherEncodings(t *testing.T) {
	t.Parallel()
	ctx, adminURL := testContext(t), embedpgtest.URL(t)
	admin := connect(t, adminURL)
	name := "latin1_" + admin.Config().Database
	if _, err := admin.Exec(ctx, "CREATE DATABASE "+name+" ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := admin.Exec(context.Background(), "DROP DATABASE "+name); err != nil {
			t.Error(err)
		}
	})
	err := schema.Migrate(ctx, withURL(t, adminURL, func(u *url.URL) { u.Path = "/" + name }))
	if err == nil || !strings.Contains(err.Error(), "LATIN1; pghub needs a UTF8 database") || strings.Contains(err.Error(), "\n") {
		t.Fatalf("got %v, want one line about the encoding", err)
	}
}

func TestMigrateAsOrdinaryUser(t *testing.T) {
	t.Parallel()
	ctx, adminURL := testContext(t), embedpgtest.URL(t)
	admin := connect(t, adminURL)
	database := admin.Config().Database
	user := "setup_" + database
	run := func(sql string) {
		t.Helper()
		if _, err := admin.Exec(ctx, sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	run("CREATE ROLE " + user + " LOGIN PASSWORD 'secret-word'")
	t.Cleanup(func() {
		for _, sql := range []string{"DROP OWNED BY " + user, "DROP ROLE " + user} {
			if _, err := admin.Exec(context.Background(), sql); err != nil {
				t.Error(err)
			}
		}
	})
	userURL := withURL(t, adminURL, func(u *url.URL) {
		q := u.Query()
		if q.Has("user") {
			q.Set("user", user)
			q.Set("password", "secret-word")
			u.RawQuery = q.Encode()
			return
		}
		u.User = url.UserPassword(user, "secret-word")
	})

	err := schema.Migrate(ctx, userURL)
	if err == nil || !strings.Contains(err.Error(), "an administrator can allow it: ") ||
		!strings.Contains(err.Error(), fmt.Sprintf(`GRANT CREATE ON DATABASE %q TO %q`, database, user)) {
		t.Fatalf("got %v, want what to grant", err)
	}
	if strings.Contains(err.Error(), "secret-word") || strings.Contains(err.Error(), "\n") {
		t.Fatalf("the error is more than one line or tells the password: %v", err)
	}

	run("GRANT CREATE ON DATABASE " + database + " TO " + user)
	run("ALTER ROLE " + user + " CREATEROLE")
	if err := schema.Migrate(ctx, userURL); err != nil {
		t.Fatal(err)
	}
	run("ALTER ROLE " + user + " NOCREATEROLE")
	run("REVOKE CREATE ON DATABASE " + database + " FROM " + user)
	if err := schema.Migrate(ctx, userURL); err != nil {
		t.Fatalf("migrating again without the rights that only the first time needs: %v", err)
	}
	pool, err := schema.Connect(ctx, userURL)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if got := query(t, pool, "SELECT current_user::text"); got[0] != schema.RoleSync {
		t.Errorf("sessions run as %s", got[0])
	}
}

func TestConnectWithoutMigrations(t *testing.T) {
	t.Parallel()
	ctx, adminURL := testContext(t), embedpgtest.URL(t)
	if err := schema.Migrate(ctx, embedpgtest.URL(t)); err != nil { // another database: the roles exist now
		t.Fatal(err)
	}
	if _, err := schema.Connect(ctx, adminURL); err == nil || !strings.Contains(err.Error(), "run pghub migrate first") {
		t.Fatalf("got %v, want what to run", err)
	}
	if err := schema.Migrate(ctx, adminURL); err != nil {
		t.Fatal(err)
	}
	admin := connect(t, adminURL)
	user := "stranger_" + admin.Config().Database
	if _, err := admin.Exec(ctx, "CREATE ROLE "+user+" LOGIN PASSWORD 'x'"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = admin.Exec(context.Background(), "DROP ROLE "+user) })
	_, err := schema.Connect(ctx, withURL(t, adminURL, func(u *url.URL) {
		q := u.Query()
		q.Set("user", user)
		q.Set("password", "x")
		u.RawQuery = q.Encode()
	}))
	if err == nil || !strings.Contains(err.Error(), "GRANT pghub_sync to it") {
		t.Fatalf("got %v, want what to grant", err)
	}
}

func TestMigrateLeavesForeignSchemasAlone(t *testing.T) {
	t.Parallel()
	ctx, url := testContext(t), embedpgtest.URL(t)
	exec(t, connect(t, url), `CREATE SCHEMA github`)
	err := schema.Migrate(ctx, url)
	if err == nil || !strings.Contains(err.Error(), `has a schema "github" of its own`) {
		t.Fatalf("got %v", err)
	}
}

// TestRoles checks what each role may do in a mirror.
func TestRoles(t *testing.T) {
	t.Parallel()
	_, pool, url := migrated(t)
	exec(t, pool, `INSERT INTO github.account (id, node_id, login, payload, synced_at) VALUES (1, 'U_1', 'octocat', '{}', now())`)
	conn := connect(t, url)
	for _, c := range []struct{ role, sql, state string }{
		{schema.RoleReader, `SELECT login FROM github.account`, ""},
		{schema.RoleReader, `SELECT * FROM github.issue_label, github.issue_assignee`, ""},
		{schema.RoleReader, `UPDATE github.account SET login = 'x'`, "42501"},
		{schema.RoleReader, `SELECT * FROM pghub.tombstone`, "42501"},
		{schema.RoleReader, `SELECT * FROM pghub.sync_state`, "42501"},
		{schema.RoleWriter, `SELECT login FROM github.account`, ""},
		{schema.RoleWriter, `UPDATE github.account SET login = 'x'`, "55000"},
		{schema.RoleWriter, `TRUNCATE github.account CASCADE`, "42501"},
		{schema.RoleWriter, `DELETE FROM pghub.tombstone`, "42501"},
		{schema.RoleWriter, `INSERT INTO github.issue (repository_id, title) VALUES (1, 'x')`, "55000"},
		{schema.RoleWriter, `INSERT INTO github.issue_label (issue_id, name) VALUES (1, 'bug')`, "23503"},
		{schema.RoleWriter, `CREATE TABLE github.mine ()`, "42501"},
	} {
		t.Run(c.role+" "+c.sql, func(t *testing.T) {
			exec(t, conn, "SET ROLE "+c.role)
			_, err := conn.Exec(testContext(t), c.sql)
			var pg *pgconn.PgError
			if errors.As(err, &pg) {
				if pg.Code != c.state {
					t.Errorf("got %v, want %q", err, c.state)
				}
			} else if c.state != "" || err != nil {
				t.Errorf("got %v, want %q", err, c.state)
			}
		})
	}
}

func exec(t testing.TB, on interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}, sql string, args ...any) {
	t.Helper()
	if _, err := on.Exec(testContext(t), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func withURL(t testing.TB, raw string, change func(*url.URL)) string {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	change(u)
	if _, err := pgx.ParseConfig(u.String()); err != nil {
		t.Fatal(err)
	}
	return u.String()
}

// waitFor waits until a condition holds; it polls because what it waits for happens in another process.
func waitFor(t testing.TB, holds func() bool) {
	t.Helper()
	ctx := testContext(t)
	for !holds() {
		if ctx.Err() != nil {
			t.Fatal("waited in vain")
		}
	}
}
