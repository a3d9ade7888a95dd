package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pghub/pghub/internal/embedpg"
	"github.com/pghub/pghub/internal/githubsim"
	"github.com/pghub/pghub/schema"
)

// clientRole is the login role that the measured clients use: that of an ordinary user of the mirror.
const clientRole = "bench"

// stand is what everything is measured on: one durable cluster (fsync on) with a mirrored database.
type stand struct {
	log      *slog.Logger
	dir      string
	server   *embedpg.Server
	password string // of clientRole
}

func newStand(ctx context.Context, log *slog.Logger) (_ *stand, err error) {
	s := &stand{log: log, password: rand.Text()}
	if s.dir, err = os.MkdirTemp("", "pghub-bench-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	// The server may run as another user than we do, and has to get through here.
	if err := os.Chmod(s.dir, 0o755); err != nil {
		return nil, err
	}
	s.server, err = embedpg.Start(ctx, embedpg.Config{DataDir: filepath.Join(s.dir, "data"), Listen: "127.0.0.1:0", Logger: log})
	if err != nil {
		return nil, err
	}
	if err := schema.Migrate(ctx, s.server.AdminURL()); err != nil {
		return nil, err
	}
	return s, s.admin(ctx, "pghub", func(conn *pgx.Conn) error {
		var create string
		if err := conn.QueryRow(ctx, "SELECT format('CREATE ROLE %I LOGIN PASSWORD %L', $1::text, $2::text)", clientRole, s.password).Scan(&create); err != nil {
			return err
		}
		return execAll(ctx, conn, create,
			"GRANT "+schema.RoleReader+", "+schema.RoleWriter+" TO "+clientRole,
			"ALTER ROLE "+clientRole+" SET search_path = github, public")
	})
}

// close stops the server and removes everything.
func (s *stand) close() error {
	var err error
	if s.server != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		err = s.server.Stop(ctx)
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}

// admin calls do with a superuser's connection to a database of the cluster.
func (s *stand) admin(ctx context.Context, database string, do func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, s.adminURL(database))
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return do(conn)
}

func (s *stand) adminURL(database string) string {
	u, err := url.Parse(s.server.AdminURL())
	if err != nil {
		return s.server.AdminURL()
	}
	u.Path = "/" + database
	return u.String()
}

// clientURL is where a client of clientRole reaches the mirrored database by TCP at an address.
func (s *stand) clientURL(address string) string {
	return (&url.URL{Scheme: "postgres", User: url.UserPassword(clientRole, s.password), Host: address, Path: "/pghub", RawQuery: "sslmode=disable"}).String()
}

// direct is the server's own TCP address.
func (s *stand) direct() string {
	return net.JoinHostPort(s.server.Host(), strconv.Itoa(s.server.Port()))
}

func execAll(ctx context.Context, conn *pgx.Conn, statements ...string) error {
	for _, sql := range statements {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

// github is a simulated GitHub behind HTTP that adds up its own handling time.
type github struct {
	*githubsim.Server
	URL   string
	spent atomic.Int64 // nanoseconds in the handler
	count atomic.Int64 // requests
	http  http.Server
	done  sync.WaitGroup
}

func startGitHub(ctx context.Context, issues int) (*github, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	g := &github{URL: "http://" + listener.Addr().String()}
	g.Server = githubsim.New(githubsim.Config{Seed: 1, Repos: 1, Issues: issues, BaseURL: g.URL, PrimaryLimit: 10_000_000})
	g.http.ReadHeaderTimeout = 10 * time.Second
	g.http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		held := heldAnswer{ResponseWriter: w}
		g.Server.ServeHTTP(&held, r)
		g.spent.Add(int64(time.Since(began)))
		g.count.Add(1)
		held.send()
	})
	g.done.Go(func() { _ = g.http.Serve(listener) }) // ends with http.ErrServerClosed by close
	return g, nil
}

// heldAnswer keeps an answer back until its time is accounted for: who got it may look at the sums at once.
type heldAnswer struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (h *heldAnswer) WriteHeader(status int) { h.status = status }

func (h *heldAnswer) Write(p []byte) (int, error) { return h.body.Write(p) }

func (h *heldAnswer) send() {
	if h.status != 0 {
		h.ResponseWriter.WriteHeader(h.status)
	}
	_, _ = h.body.WriteTo(h.ResponseWriter) // a client that has gone needs no answer
}

func (g *github) close() {
	_ = g.http.Close()
	g.done.Wait()
	g.Server.Close()
}

// describeMachine says what the figures were taken on.
func describeMachine(ctx context.Context, s *stand, p plan, out io.Writer) error {
	var version string
	err := s.admin(ctx, "pghub", func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, "SHOW server_version").Scan(&version)
	})
	if err != nil {
		return err
	}
	version, _, _ = strings.Cut(version, " ")
	fmt.Fprintf(out, "Measured %s on one machine: %s/%s, %d cores%s, PostgreSQL %s (fsync on), %s%s; medians of %d rounds, of reads %d.\n",
		time.Now().UTC().Format(time.DateOnly), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), cpuModel(), version, runtime.Version(), loadAverage(), p.rounds, p.reads)
	return nil
}

// cpuModel is the processor's name where Linux tells it, in parentheses.
func cpuModel() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(info)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return " (" + strings.TrimSpace(value) + ")"
		}
	}
	return ""
}

// loadAverage says how busy the machine is before anything was measured, where Linux tells it.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return ""
	}
	first, _, _ := strings.Cut(string(text), " ")
	return "; load average before " + first
}
