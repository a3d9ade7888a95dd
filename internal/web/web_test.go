package web_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pghub/pghub/internal/embedpg/embedpgtest"
	"github.com/pghub/pghub/internal/web"
	"github.com/pghub/pghub/syncer"
)

func TestMain(m *testing.M) { os.Exit(embedpgtest.Main(m)) }

// listen accepts connections and answers the first eight bytes of each with reply; with an empty reply it stays silent.
func listen(t *testing.T, address, reply string) net.Addr {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				if _, err := io.ReadFull(conn, make([]byte, 8)); err == nil && reply != "" {
					_, _ = conn.Write([]byte(reply))
				}
				_, _ = io.Copy(io.Discard, conn) // until the asker leaves
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	return l.Addr()
}

func unusedAddr(t *testing.T) net.Addr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr()
}

func pool(t *testing.T, url string) *pgxpool.Pool {
	t.Helper()
	p, err := pgxpool.New(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

type progressFunc = func(context.Context) (bool, []syncer.CollectionStatus, error)

func TestHandler(t *testing.T) {
	t.Parallel()
	database := pool(t, embedpgtest.URL(t))
	silentDatabase := pool(t, "postgres://u:p@"+listen(t, "127.0.0.1:0", "").String()+"/db?sslmode=disable")
	goodProxy := listen(t, "127.0.0.1:0", "N")
	collections := []syncer.CollectionStatus{{Repository: "a/b", Collection: "issue", State: syncer.StateBackfilling, Done: 3, Expected: 10}}
	syncing := func(context.Context) (bool, []syncer.CollectionStatus, error) { return false, collections, nil }
	synced := func(context.Context) (bool, []syncer.CollectionStatus, error) { return true, collections, nil }
	broken := func(context.Context) (bool, []syncer.CollectionStatus, error) {
		return false, nil, errors.New("the reason is for the log")
	}
	for _, test := range []struct {
		name     string
		proxy    net.Addr
		database interface{ Ping(context.Context) error }
		sync     progressFunc
		path     string
		want     int
		body     []string
	}{
		{"healthy", goodProxy, database, syncing, "/healthz", 200, []string{`"status": "ok"`, `"proxy": "ok"`, `"database": "ok"`}},
		{"proxy that offers TLS", listen(t, "127.0.0.1:0", "S"), database, nil, "/healthz", 200, []string{`"proxy": "ok"`}},
		{"proxy on all addresses", listen(t, ":0", "N"), database, nil, "/healthz", 200, []string{`"proxy": "ok"`}},
		{"no proxy", unusedAddr(t), database, nil, "/healthz", 503, []string{`"status": "unhealthy"`, `"proxy": "failed"`, `"database": "ok"`}},
		{"proxy hangs", listen(t, "127.0.0.1:0", ""), database, nil, "/healthz", 503, []string{`"proxy": "failed"`, `"database": "ok"`}},
		{"something else on the port", listen(t, "127.0.0.1:0", "HTTP/1.1 400"), database, nil, "/healthz", 503, []string{`"proxy": "failed"`}},
		{"database hangs", goodProxy, silentDatabase, syncing, "/healthz", 503, []string{`"proxy": "ok"`, `"database": "failed"`}},
		{"ready", goodProxy, database, synced, "/readyz", 200, []string{`"status": "ok"`, `"sync": "ok"`}},
		{"syncing", goodProxy, database, syncing, "/readyz", 503, []string{`"status": "syncing"`, `"repository": "a/b"`, `"done": 3`, `"expected": 10`}},
		{"nothing to sync", goodProxy, database, nil, "/readyz", 200, []string{`"status": "ok"`}},
		{"synced but no proxy", unusedAddr(t), database, synced, "/readyz", 503, []string{`"status": "unhealthy"`}},
		{"progress unknown", goodProxy, database, broken, "/readyz", 503, []string{`"sync": "failed"`}},
		{"database hangs while syncing", goodProxy, silentDatabase, syncing, "/readyz", 503, []string{`"database": "failed"`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			h := web.Handler(web.Config{Proxy: test.proxy, Database: test.database, Sync: test.sync, Timeout: 500 * time.Millisecond,
				Logger: slog.New(slog.NewTextHandler(&log, nil))})
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, test.path, nil))
			if w.Code != test.want {
				t.Errorf("status %d, want %d", w.Code, test.want)
			}
			for _, part := range test.body {
				if !strings.Contains(w.Body.String(), part) {
					t.Errorf("the body lacks %s:\n%s", part, w.Body)
				}
			}
			if !json.Valid(w.Body.Bytes()) || w.Header().Get("Content-Type") != "application/json" {
				t.Errorf("not JSON (%s): %s", w.Header().Get("Content-Type"), w.Body)
			}
			if strings.Contains(w.Body.String(), "reason") {
				t.Errorf("an error's text is shown: %s", w.Body)
			}
			if test.want == 503 && !strings.Contains(w.Body.String(), "syncing") && !strings.Contains(log.String(), "health check failed") {
				t.Errorf("the log does not say why: %s", log.String())
			}
		})
	}
}

func TestOtherRequests(t *testing.T) {
	t.Parallel()
	h := web.Handler(web.Config{Proxy: unusedAddr(t), Database: pool(t, "postgres://127.0.0.1:1/x")})
	for _, test := range []struct {
		method, path string
		want         int
	}{{"POST", "/healthz", 405}, {"GET", "/", 404}, {"GET", "/healthz/x", 404}} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(test.method, test.path, nil))
		if w.Code != test.want {
			t.Errorf("%s %s: %d, want %d", test.method, test.path, w.Code, test.want)
		}
	}
}

func TestServeEndsWithContext(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	entered := make(chan struct{})
	release := make(chan struct{})
	served := make(chan error, 1)
	go func() {
		served <- web.Serve(ctx, l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			close(entered)
			<-release
			_, _ = w.Write([]byte("answered"))
		}))
	}()
	type result struct {
		body string
		err  error
	}
	got := make(chan result, 1)
	go func() {
		resp, err := http.Get("http://" + l.Addr().String())
		if err != nil {
			got <- result{err: err}
			return
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		got <- result{string(body), err}
	}()
	<-entered
	cancel()
	close(release)
	if r := <-got; r.err != nil || r.body != "answered" {
		t.Errorf("the request under way got %q, %v", r.body, r.err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	if conn, err := net.Dial("tcp", l.Addr().String()); err == nil {
		conn.Close()
		t.Error("the port is still open")
	}
}
