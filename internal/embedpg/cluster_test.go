package embedpg

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

func TestInterruptedInitdb(t *testing.T) {
	t.Parallel()
	dir := dataDir(t, "data")
	ctx, cancel := context.WithCancelCause(testContext(t))
	defer cancel(nil)
	interrupted := errors.New("interrupted by the test")
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		for ctx.Err() == nil {
			if half, _ := filepath.Glob(filepath.Join(dir, "initdb-*", "base")); len(half) > 0 {
				cancel(interrupted)
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	_, err := Start(ctx, Config{DataDir: dir, Fast: true})
	cancel(nil)
	<-watching
	if !errors.Is(err, interrupted) {
		t.Fatalf("got %v, want the interruption", err)
	}
	if entries, _ := filepath.Glob(filepath.Join(dir, "*initdb*")); len(entries) > 0 {
		t.Errorf("left behind: %v", entries)
	}
	if got := queryText(t, mustStart(t, Config{DataDir: dir}).AdminURL(), "SELECT 'fine'"); got != "fine" {
		t.Errorf("got %q", got)
	}
}

// TestKilledInitdb: nothing could tidy up, as after a kill -9 or a power cut.
func TestKilledInitdb(t *testing.T) {
	t.Parallel()
	dir := dataDir(t, "data")
	half := filepath.Join(dir, "initdb-123")
	if err := os.MkdirAll(half, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(half, "PG_VERSION"), []byte("15\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	mustStart(t, Config{DataDir: dir})
	if _, err := os.Stat(half); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there (%v)", half, err)
	}
}

func TestMissingPasswordOfExistingCluster(t *testing.T) {
	t.Parallel()
	dir := dataDir(t, "data")
	s := mustStart(t, Config{DataDir: dir})
	mustStop(t, s)
	if err := os.Remove(s.PasswordFile()); err != nil {
		t.Fatal(err)
	}
	_, err := Start(testContext(t), Config{DataDir: dir})
	if err == nil || !strings.Contains(err.Error(), s.PasswordFile()) {
		t.Errorf("got %v, want an error that names %s", err, s.PasswordFile())
	}
}

func TestWrongPasswordFileFailsAtOnce(t *testing.T) {
	t.Parallel()
	dir := dataDir(t, "data")
	s := mustStart(t, Config{DataDir: dir})
	mustStop(t, s)
	if err := os.WriteFile(s.PasswordFile(), []byte("not the password\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Start(testContext(t), Config{DataDir: dir})
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || refused.Code != "28P01" {
		t.Errorf("got %v, want SQLSTATE 28P01", err)
	}
	if strings.Contains(err.Error(), "not the password") {
		t.Errorf("the error holds the password: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "pgdata", "postmaster.pid")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the server still runs (%v)", err)
	}
}

func TestServerEnvironment(t *testing.T) {
	t.Setenv("PGDATA", "/nowhere")
	t.Setenv("PGPORT", "1")
	t.Setenv("GITHUB_TOKEN", "secret")
	for _, kv := range serverEnv() {
		name, _, _ := strings.Cut(kv, "=")
		if strings.HasPrefix(name, "PG") || name == "GITHUB_TOKEN" {
			t.Errorf("%s reaches the server", name)
		}
	}
	mustStart(t, Config{DataDir: dataDir(t, "data")})
}
