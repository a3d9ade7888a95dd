package proxy_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// TestAuthentication logs in by every method that passes through: the server asks, the client answers.
func TestAuthentication(t *testing.T) {
	t.Parallel()
	b := setup(t)
	admin, err := pgx.Connect(b.ctx, b.admin)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.WithoutCancel(b.ctx))
	var file string
	if err := admin.QueryRow(b.ctx, "SHOW hba_file").Scan(&file); err != nil {
		t.Fatal(err)
	}
	rules, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	methods := []string{"trust", "password", "md5", "scram-sha-256"}
	var lines strings.Builder
	for _, method := range methods {
		encryption := "scram-sha-256"
		if method == "md5" {
			encryption = "md5"
		}
		fmt.Fprintf(&lines, "local all \"login %s\" %s\nhost all \"login %s\" 127.0.0.1/32 %s\n", method, method, method, method)
		b.adminExec(fmt.Sprintf(`SET password_encryption = '%s'; CREATE ROLE "login %s" LOGIN PASSWORD 'right'`, encryption, method), pgx.QueryExecModeSimpleProtocol)
		t.Cleanup(func() {
			conn, err := pgx.Connect(context.WithoutCancel(b.ctx), b.admin)
			if err != nil {
				return
			}
			conn.Exec(context.WithoutCancel(b.ctx), fmt.Sprintf(`DROP ROLE "login %s"`, method))
			conn.Close(context.WithoutCancel(b.ctx))
		})
	}
	if err := os.WriteFile(file, append([]byte(lines.String()), rules...), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.Exec(b.ctx, "SELECT pg_reload_conf()"); err != nil {
		t.Fatal(err)
	}
	for _, method := range methods {
		for _, password := range []string{"right", "wrong"} {
			t.Run(method+" "+password, func(t *testing.T) {
				config, err := pgx.ParseConfig(b.dsnAs("x", password))
				if err != nil {
					t.Fatal(err)
				}
				config.User = "login " + method
				login := func() (string, error) {
					conn, err := pgx.ConnectConfig(b.ctx, config)
					if err != nil {
						return "", err
					}
					defer conn.Close(b.ctx)
					var user string
					return user, conn.QueryRow(b.ctx, "SELECT session_user").Scan(&user)
				}
				var user string
				if password == "right" {
					// The server takes the new rules a moment after it was told to.
					b.eventually("the new rules hold", func() bool { user, err = login(); return err == nil })
				} else {
					user, err = login()
				}
				if method == "trust" || password == "right" {
					if err != nil || user != config.User {
						t.Errorf("logged in as %q, %v", user, err)
					}
				} else if sqlState(err) != "28P01" {
					t.Errorf("error %v, want 28P01", err)
				}
			})
		}
	}
	if _, err := pgx.Connect(b.ctx, b.dsnAs("nobody_here", "x")); sqlState(err) != "28P01" {
		t.Errorf("unknown role: %v, want 28P01", err)
	}
}

// TestServerDown: errors before login are ErrorResponses, not closed sockets.
func TestServerDown(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stop()
	b.through = func(string) string { return "postgres://x@127.0.0.1:1/x" }
	b.start()
	_, err := pgx.Connect(b.ctx, b.dsn())
	if sqlState(err) != "08006" || !strings.Contains(err.Error(), "cannot reach") {
		t.Errorf("error %v, want 08006", err)
	}
}

// TestCancelPassesThrough cancels a statement that runs in the server.
func TestCancelPassesThrough(t *testing.T) {
	t.Parallel()
	b := setup(t)
	conn, _ := b.connect(pgx.QueryExecModeSimpleProtocol)
	admin, err := pgx.Connect(b.ctx, b.admin) // only a superuser sees what others run
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.WithoutCancel(b.ctx))
	result := make(chan error, 1)
	go func() {
		_, err := conn.Exec(b.ctx, "SELECT pg_sleep(60)")
		result <- err
	}()
	b.eventually("the statement runs", func() bool {
		var running bool
		if err := admin.QueryRow(b.ctx, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND query = 'SELECT pg_sleep(60)' AND state = 'active')").Scan(&running); err != nil {
			t.Fatal(err)
		}
		return running
	})
	if err := conn.PgConn().CancelRequest(b.ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-result; sqlState(err) != "57014" {
		t.Errorf("error %v, want 57014", err)
	}
}

// TestServerEndsSession gets the server's FATAL to the client.
func TestServerEndsSession(t *testing.T) {
	t.Parallel()
	b := setup(t)
	conn, _ := b.connect(pgx.QueryExecModeSimpleProtocol)
	_, err := conn.Exec(b.ctx, "SELECT pg_terminate_backend(pg_backend_pid())")
	if sqlState(err) != "57P01" {
		t.Errorf("error %v, want 57P01", err)
	}
	b.eventually("the session is gone", func() bool { return b.proxy.Sessions() == 0 })
}

// TestShutdownTellsClients ends idle and busy sessions as a stopping server does.
func TestShutdownTellsClients(t *testing.T) {
	t.Parallel()
	b := setup(t)
	idle, _ := b.connect(pgx.QueryExecModeSimpleProtocol)
	busy, _ := b.connect(pgx.QueryExecModeSimpleProtocol)
	result := make(chan error, 1)
	go func() {
		_, err := busy.Exec(b.ctx, "SELECT pg_sleep(60)")
		result <- err
	}()
	b.stop()
	if err := <-result; sqlState(err) != "57P01" {
		t.Errorf("the busy session got %v, want 57P01", err)
	}
	if _, err := idle.WaitForNotification(b.ctx); err == nil || !strings.Contains(err.Error(), "57P01") {
		t.Errorf("the idle session got %v, want 57P01", err)
	}
}

// TestNotificationsAndLargeResults pass through a session that may be intercepted.
func TestNotificationsAndLargeResults(t *testing.T) {
	t.Parallel()
	b := setup(t)
	conn, _ := b.connect(pgx.QueryExecModeSimpleProtocol)
	other, _ := b.connect(pgx.QueryExecModeCacheStatement)
	if _, err := conn.Exec(b.ctx, "LISTEN news"); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Exec(b.ctx, "NOTIFY news, 'hello'"); err != nil {
		t.Fatal(err)
	}
	n, err := conn.WaitForNotification(b.ctx)
	if err != nil || n.Payload != "hello" {
		t.Fatalf("%v, %v", n, err)
	}
	rows, err := other.Query(b.ctx, "SELECT i, repeat('x', 1000) FROM generate_series(1, 20000) i")
	if err != nil {
		t.Fatal(err)
	}
	i, want := int64(0), strings.Repeat("x", 1000)
	var got int64
	var text string
	if _, err := pgx.ForEachRow(rows, []any{&got, &text}, func() error {
		if i++; got != i || text != want {
			return fmt.Errorf("row %d is %d %q", i, got, text)
		}
		return nil
	}); err != nil || i != 20000 {
		t.Errorf("%d rows, %v", i, err)
	}
	var huge string
	if err := other.QueryRow(b.ctx, "SELECT repeat('y', 40000000)").Scan(&huge); err != nil || len(huge) != 40_000_000 {
		t.Errorf("a value of 40 MB: %d bytes, %v", len(huge), err)
	}
	if _, err := other.Exec(b.ctx, "SELECT length($1)", strings.Repeat("z", 20_000_000)); err != nil {
		t.Errorf("a parameter of 20 MB: %v", err)
	}
	if _, err := conn.Exec(b.ctx, "SELECT '"+strings.Repeat("issue insert ", 2_000_000)+"'"); err != nil {
		t.Errorf("a statement of 26 MB: %v", err)
	}
}
