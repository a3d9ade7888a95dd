package embedpg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// dataDir is a path that does not exist yet, below a directory that the server's user may enter whoever runs the tests.
func dataDir(t *testing.T, name string) string {
	t.Helper()
	parent, err := os.MkdirTemp("", "pghub-embedpg-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(parent, 0o711); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(parent); err != nil {
			t.Error(err)
		}
	})
	return filepath.Join(parent, name)
}

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func mustStart(t *testing.T, cfg Config) *Server {
	t.Helper()
	cfg.Fast = true
	s, err := Start(testContext(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mustStop(t, s) })
	return s
}

func mustStop(t *testing.T, s *Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Error(err)
	}
}

func queryText(t *testing.T, url, sql string) string {
	t.Helper()
	conn, err := pgx.Connect(testContext(t), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	var text string
	if err := conn.QueryRow(testContext(t), sql).Scan(&text); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return text
}

// logBuffer collects log lines of several goroutines.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func (b *logBuffer) logger() *slog.Logger { return slog.New(slog.NewTextHandler(b, nil)) }

func TestStartInitialisesOnceAndKeepsData(t *testing.T) {
	t.Parallel()
	dir := dataDir(t, "data")
	var log logBuffer
	first := mustStart(t, Config{DataDir: dir, Database: "mine", Logger: log.logger()})
	queryText(t, first.AdminURL(), "WITH made AS (SELECT set_config('x.y', 'z', false)) SELECT 'ok' FROM made")
	conn, err := pgx.Connect(testContext(t), first.AdminURL())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(testContext(t), "CREATE TABLE kept AS SELECT 'still here' AS v"); err != nil {
		t.Fatal(err)
	}
	conn.Close(context.Background())
	for sql, want := range map[string]string{
		"SELECT current_database()": "mine",
		"SELECT current_user":       Superuser,
		"SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = 'mine'": "UTF8",
		"SHOW listen_addresses": "",
		"SHOW wal_level":        "logical",
		"SHOW max_connections":  "200",
		"SELECT substr(rolpassword, 1, 14) FROM pg_authid WHERE rolname = 'pghub'": "SCRAM-SHA-256$",
		"SELECT string_agg(DISTINCT auth_method, ',') FROM pg_hba_file_rules":      "scram-sha-256",
	} {
		if got := queryText(t, first.AdminURL(), sql); got != want {
			t.Errorf("%s = %q, want %q", sql, got, want)
		}
	}
	if collation := queryText(t, first.AdminURL(), "SELECT datcollate FROM pg_database WHERE datname = 'mine'"); !strings.HasPrefix(collation, "C") && collation != "en_US.UTF-8" {
		t.Errorf("collation %q is none of those tried", collation)
	}
	mustStop(t, first)
	select {
	case <-first.Done():
	default:
		t.Error("Done is open after Stop")
	}
	if _, err := pgx.Connect(testContext(t), first.AdminURL()); err == nil {
		t.Error("the server answers after Stop")
	}
	if text := log.String(); strings.Contains(text, first.password) {
		t.Error("the password is in the log")
	}

	second := mustStart(t, Config{DataDir: dir, Database: "mine"})
	if got := queryText(t, second.AdminURL(), "SELECT v FROM kept"); got != "still here" {
		t.Errorf("kept = %q", got)
	}
	if second.AdminURL() != first.AdminURL() {
		t.Error("the connection URL changed over a restart")
	}
	if text, err := os.ReadFile(filepath.Join(dir, "postgres.log")); err != nil || !bytes.Contains(text, []byte("ready to accept connections")) {
		t.Errorf("postgres.log does not hold the server's log (%v)", err)
	}
}

func TestPasswordIsPrivateAndNeeded(t *testing.T) {
	t.Parallel()
	s := mustStart(t, Config{DataDir: dataDir(t, "data")})
	for _, name := range []string{s.PasswordFile(), filepath.Join(s.DataDir(), "postgres.log")} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, want 0600", name, info.Mode().Perm())
		}
	}
	config, err := pgx.ParseConfig(s.AdminURL())
	if err != nil {
		t.Fatal(err)
	}
	if len(config.Password) < 20 {
		t.Errorf("a password of %d characters", len(config.Password))
	}
	config.Password = "wrong"
	_, err = pgx.ConnectConfig(testContext(t), config)
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) || pgErr.Code != "28P01" {
		t.Errorf("a wrong password gives %v, want SQLSTATE 28P01", err)
	}
}

func TestListen(t *testing.T) {
	t.Parallel()
	s := mustStart(t, Config{DataDir: dataDir(t, "data"), Listen: "127.0.0.1:0"})
	url := fmt.Sprintf("postgres://%s:%s@%s/pghub?sslmode=disable", Superuser, s.password, net.JoinHostPort(s.Host(), strconv.Itoa(s.Port())))
	if got := queryText(t, url, "SELECT host(inet_server_addr())"); got != "127.0.0.1" {
		t.Errorf("connected to %q", got)
	}
	for _, listen := range []string{"0.0.0.0:0", "192.0.2.1:5432", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000", "example.org:1"} {
		if _, _, _, err := pickAddress(listen); err == nil {
			t.Errorf("listening on %q is not refused", listen)
		}
	}
}

func TestRunningURL(t *testing.T) {
	t.Parallel()
	dir := dataDir(t, "data")
	if url, err := RunningURL(dir, ""); url != "" || err != nil {
		t.Errorf("without a cluster: %q, %v", url, err)
	}
	s := mustStart(t, Config{DataDir: dir})
	url, err := RunningURL(dir, "")
	if err != nil || url != s.AdminURL() {
		t.Fatalf("got %q, %v, want the server's own URL", url, err)
	}
	if got := queryText(t, url, "SELECT current_database()"); got != "pghub" {
		t.Errorf("connected to %q", got)
	}
	mustStop(t, s)
	if url, err := RunningURL(dir, ""); url != "" || err != nil {
		t.Errorf("after the end: %q, %v", url, err)
	}
}

func TestServerProcess(t *testing.T) {
	t.Parallel()
	s := mustStart(t, Config{DataDir: dataDir(t, "data")})
	pid := s.process.pid()
	group, err := syscall.Getpgid(pid)
	if err != nil {
		t.Fatal(err)
	}
	if group != pid {
		t.Errorf("the server is in process group %d, want its own (%d): Ctrl-C would reach it", group, pid)
	}
	info, err := os.Stat(filepath.Join(s.DataDir(), "pgdata", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	if uid := info.Sys().(*syscall.Stat_t).Uid; uid == 0 {
		t.Error("the server runs as root")
	}
	if err := syscall.Kill(pid, syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.Done():
	case <-time.After(time.Minute):
		t.Fatal("Done stays open when the server ends by itself")
	}
}

func TestServerThatDoesNotStart(t *testing.T) {
	t.Parallel()
	dir := dataDir(t, "data")
	mustStop(t, mustStart(t, Config{DataDir: dir}))
	conf := filepath.Join(dir, "pgdata", "postgresql.conf")
	text, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(conf, append(text, "\nno_such_setting = 1\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Start(testContext(t), Config{DataDir: dir})
	var failed *StartError
	if !errors.As(err, &failed) {
		t.Fatalf("got %v, want a StartError", err)
	}
	if !strings.Contains(err.Error(), "no_such_setting") || !strings.Contains(err.Error(), filepath.Join(dir, "postgres.log")) {
		t.Errorf("the error neither quotes nor names the server's log: %v", err)
	}
	if err := os.WriteFile(conf, text, 0o600); err != nil {
		t.Fatal(err)
	}
	mustStart(t, Config{DataDir: dir}) // the lock was given free
}

func TestDataDirThatServerUserCannotEnter(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root runs the server as another user")
	}
	closed := t.TempDir()
	if err := os.Chmod(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := Start(testContext(t), Config{DataDir: filepath.Join(closed, "data")})
	if err == nil || !strings.Contains(err.Error(), "cannot enter "+closed) {
		t.Errorf("got %v, want an error that names %s", err, closed)
	}
}
