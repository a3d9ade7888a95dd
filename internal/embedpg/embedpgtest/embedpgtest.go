// Package embedpgtest gives tests a real PostgreSQL: one private cluster per test process, one fresh database per test.
package embedpgtest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pghub/pghub/internal/embedpg"
)

const dirPrefix = "pghub-test-"

var (
	start     sync.Once
	cluster   *embedpg.Server
	clusterIn string // its directory, removed at the end
	startErr  error

	databases atomic.Int64
	templates = struct {
		sync.Mutex
		made map[string]bool
	}{made: map[string]bool{}}
)

// server starts the process's cluster when it is first asked for.
func server(t testing.TB) *embedpg.Server {
	t.Helper()
	start.Do(func() { startErr = startCluster() })
	if startErr != nil {
		t.Fatalf("starting PostgreSQL for the tests: %v", startErr)
	}
	return cluster
}

func startCluster() error {
	sweep(os.TempDir())
	dir, err := os.MkdirTemp("", dirPrefix)
	if err != nil {
		return err
	}
	clusterIn = dir
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	cluster, err = embedpg.Start(ctx, embedpg.Config{DataDir: dir, Listen: "127.0.0.1:0", Fast: true})
	return err
}

// sweepAge keeps sweep away from directories that another test process is just setting up.
const sweepAge = time.Hour

// sweep removes the directories of test processes that were killed, or that did not use Main. Their servers have ended with
// them; a directory is only taken when nobody holds its lock.
func sweep(parent string) {
	dirs, _ := filepath.Glob(filepath.Join(parent, dirPrefix+"*"))
	for _, dir := range dirs {
		if info, err := os.Stat(dir); err != nil || time.Since(info.ModTime()) < sweepAge {
			continue
		}
		f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR, 0)
		if err != nil {
			continue // being made or being removed
		}
		if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			if _, err := os.Stat(filepath.Join(dir, "pgdata", "postmaster.pid")); errors.Is(err, os.ErrNotExist) {
				_ = os.RemoveAll(dir)
			}
		}
		_ = f.Close()
	}
}

// URL makes an empty database on the process's cluster and returns the superuser's connection URL over the Unix socket. The
// database is dropped, with whatever is still connected to it, when the test ends. Roles belong to the cluster: tests that run
// at the same time share them.
func URL(t testing.TB) string {
	t.Helper()
	return create(t, "template1")
}

// Clone is URL for a database that is a copy of one that prepare has filled: prepare runs once per process and name, on an
// empty database, and must close its connections. Tests that all start from the same migrations save most of their set-up.
func Clone(t testing.TB, name string, prepare func(url string) error) string {
	t.Helper()
	s := server(t)
	templates.Lock()
	defer templates.Unlock()
	template := "template_" + name
	if !templates.made[template] {
		exec(t, s, "DROP DATABASE IF EXISTS "+pgx.Identifier{template}.Sanitize())
		exec(t, s, "CREATE DATABASE "+pgx.Identifier{template}.Sanitize())
		if err := prepare(databaseURL(t, s, template)); err != nil {
			t.Fatalf("preparing database %s: %v", template, err)
		}
		templates.made[template] = true
	}
	return create(t, template)
}

func create(t testing.TB, template string) string {
	t.Helper()
	s := server(t)
	name := fmt.Sprintf("test_%d", databases.Add(1))
	exec(t, s, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()+" TEMPLATE "+pgx.Identifier{template}.Sanitize())
	t.Cleanup(func() { exec(t, s, "DROP DATABASE IF EXISTS "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)") })
	return databaseURL(t, s, name)
}

func databaseURL(t testing.TB, s *embedpg.Server, name string) string {
	t.Helper()
	u, err := url.Parse(s.AdminURL())
	if err != nil {
		t.Fatalf("the cluster's URL does not parse: %v", err)
	}
	u.Path = "/" + name
	return u.String()
}

func exec(t testing.TB, s *embedpg.Server, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.AdminURL())
	if err != nil {
		t.Fatalf("connecting to the tests' PostgreSQL: %v", err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// TCPAddr is the loopback address of the process's cluster.
func TCPAddr(t testing.TB) (host string, port int) {
	t.Helper()
	s := server(t)
	return s.Host(), s.Port()
}

// TCPURL is URL over the loopback address instead of the socket.
func TCPURL(t testing.TB) string {
	t.Helper()
	u, err := url.Parse(URL(t))
	if err != nil {
		t.Fatalf("the cluster's URL does not parse: %v", err)
	}
	host, port := TCPAddr(t)
	q := u.Query()
	q.Set("host", host)
	q.Set("port", strconv.Itoa(port))
	u.RawQuery = q.Encode()
	return u.String()
}

// Main runs the package's tests and then stops and removes the cluster, if one was started:
//
//	func TestMain(m *testing.M) { os.Exit(embedpgtest.Main(m)) }
func Main(m *testing.M) int {
	code := m.Run()
	if cluster != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := cluster.Stop(ctx); err != nil {
			fmt.Fprintln(os.Stderr, "stopping the tests' PostgreSQL:", err)
			code = max(code, 1)
		}
	}
	if clusterIn != "" {
		if err := os.RemoveAll(clusterIn); err != nil {
			fmt.Fprintln(os.Stderr, "removing the tests' PostgreSQL:", err)
			code = max(code, 1)
		}
	}
	return code
}
