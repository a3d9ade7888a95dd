package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pghub/pghub/internal/embedpg/embedpgtest"
	"github.com/pghub/pghub/schema"
)

// TestOwnDatabaseStepByStep uses the commands on a server of the user's own: a proxy that is to write before there is a schema,
// the migration, twice, the state of a mirror that holds nothing yet.
func TestOwnDatabaseStepByStep(t *testing.T) {
	t.Parallel()
	// The roles of another database on the same server must not make this one look migrated.
	if err := schema.Migrate(testContext(t), embedpgtest.URL(t)); err != nil {
		t.Fatal(err)
	}
	url := embedpgtest.URL(t)
	environ := []string{"PGHUB_DATABASE_URL=" + url, "PGHUB_LISTEN=127.0.0.1:0", "PGHUB_HTTP="}
	code, _, text := runProgram(t, append(environ, "GITHUB_TOKEN=token"), "proxy")
	if code != exitFailed || !strings.Contains(text, "pghub migrate") {
		t.Errorf("a writing proxy without schema: exit code %d, %q; want a line that names pghub migrate", code, text)
	}
	for range 2 {
		if code, out, text := runProgram(t, environ, "migrate"); code != exitOK || out == "" {
			t.Errorf("migrate: exit code %d, %q%q", code, out, text)
		}
	}
	if code, out, text := runProgram(t, environ, "status"); code != exitOK || !strings.Contains(out, "nothing is synced yet") {
		t.Errorf("status: exit code %d, %q%q", code, out, text)
	}

	ctx := testContext(t)
	direct, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	p := startProcess(ctx, t, append(environ, "GITHUB_TOKEN=token"), "proxy")
	conn, err := pgx.Connect(ctx, "postgres://"+direct.User+":"+direct.Password+"@"+p.await(ctx, t, "proxy: listening on ")+"/"+direct.Database)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(ctx, "INSERT INTO github.issue (repository_id, title) VALUES (1, 'x')"); !refusedWith(err, "23503") {
		t.Errorf("an issue of an unknown repository gives %v, want SQLSTATE 23503", err)
	}
	if _, err := conn.Exec(ctx, "CREATE TABLE mine AS SELECT 1 AS a"); err != nil {
		t.Error(err)
	}
	conn.Close(ctx)
}

func refusedWith(err error, code string) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && refused.Code == code
}
