package embedpg

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// fakeInstallation makes programs that know their version and nothing else.
func fakeInstallation(t *testing.T, root, name, version string, programs ...string) string {
	t.Helper()
	dir := filepath.Join(root, name, "bin")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, program := range programs {
		script := "#!/bin/sh\necho '" + program + " (PostgreSQL) " + version + "'\n"
		if err := os.WriteFile(filepath.Join(dir, program), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestInstalled(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	v9 := fakeInstallation(t, root, "9.6", "9.6.24", "postgres", "initdb")
	v15 := fakeInstallation(t, root, "15", "15.18 (Debian 15.18-0+deb12u1)", "postgres", "initdb")
	v16 := fakeInstallation(t, root, "16", "16.2", "postgres", "initdb")
	v1610 := fakeInstallation(t, root, "16-newer", "16.10", "postgres", "initdb")
	v18 := fakeInstallation(t, root, "18", "18beta1", "postgres", "initdb")
	fakeInstallation(t, root, "19", "19.0", "postgres") // client packages bring no initdb
	fakeInstallation(t, root, "20", "unknown", "postgres", "initdb")
	linked := filepath.Join(root, "linked")
	if err := os.Mkdir(linked, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(v15, "postgres"), filepath.Join(linked, "postgres")); err != nil {
		t.Fatal(err)
	}

	path := strings.Join([]string{"relative", linked, v9, filepath.Join(root, "missing")}, string(os.PathListSeparator))
	found := installed(context.Background(), path, []string{filepath.Join(root, "*", "bin")})
	var dirs []string
	for _, b := range found {
		dirs = append(dirs, b.dir)
	}
	if want := []string{v18, v1610, v16, v15, v9}; !slices.Equal(dirs, want) {
		t.Errorf("found %v\nwant  %v", dirs, want)
	}

	for _, test := range []struct {
		major int
		want  string
	}{{0, v18}, {16, v1610}, {15, v15}, {17, ""}} {
		if b, ok := choose(found, test.major); b.dir != test.want || ok != (test.want != "") {
			t.Errorf("choose(%d) = %q, want %q", test.major, b.dir, test.want)
		}
	}
	if b, ok := choose(found[4:], 0); ok {
		t.Errorf("PostgreSQL %s is taken, which is too old", b.version)
	}
}

// repository serves the archive of testdata the way the library expects it: a jar (zip) that holds a .txz, and its checksum.
func repository(t *testing.T, checksum func([]byte) string) (url string, requests *atomic.Int64) {
	t.Helper()
	txz, err := os.ReadFile("testdata/binaries.txz")
	if err != nil {
		t.Fatal(err)
	}
	var jar bytes.Buffer
	w := zip.NewWriter(&jar)
	f, err := w.Create("postgres.txz")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(txz); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	requests = new(atomic.Int64)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		switch {
		case !strings.Contains(r.URL.Path, "17.5.0"):
			http.NotFound(w, r)
		case strings.HasSuffix(r.URL.Path, ".jar.sha256"):
			_, _ = w.Write([]byte(checksum(jar.Bytes())))
		case strings.HasSuffix(r.URL.Path, ".jar"):
			_, _ = w.Write(jar.Bytes())
		}
	}))
	t.Cleanup(server.Close)
	return server.URL, requests
}

func sha256Text(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func TestFetch(t *testing.T) {
	t.Parallel()
	url, requests := repository(t, sha256Text)
	cfg := fetchConfig{major: 17, cacheDir: t.TempDir(), repository: url}
	var log logBuffer
	b, err := fetch(testContext(t), cfg, log.logger())
	if err != nil {
		t.Fatal(err)
	}
	if b.version != "17.5" || b.dir != filepath.Join(cfg.cacheDir, "postgresql-17.5.0", "bin") {
		t.Errorf("fetched %+v", b)
	}
	if _, err := os.Stat(filepath.Join(b.dir, "..", "share", "postgres.bki")); err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "fetching") {
		t.Errorf("the log does not say that something is fetched: %s", log.String())
	}
	before := requests.Load()
	if again, err := fetch(testContext(t), cfg, log.logger()); err != nil || again != b {
		t.Errorf("the second time: %+v, %v", again, err)
	}
	if requests.Load() != before {
		t.Error("fetched twice")
	}
	if entries, _ := os.ReadDir(cfg.cacheDir); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
}

func TestFetchFailures(t *testing.T) {
	t.Parallel()
	good, _ := repository(t, sha256Text)
	tampered, _ := repository(t, func([]byte) string { return sha256Text([]byte("something else")) })
	for name, cfg := range map[string]fetchConfig{
		"no such version": {major: 12, repository: good},
		"not there":       {major: 16, repository: good},
		"wrong checksum":  {major: 17, repository: tampered},
		"unreachable":     {major: 17, repository: "http://127.0.0.1:1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log logBuffer
			cfg.cacheDir = t.TempDir()
			if b, err := fetch(testContext(t), cfg, log.logger()); err == nil {
				t.Errorf("fetched %+v", b)
			}
			if entries, _ := os.ReadDir(cfg.cacheDir); len(entries) != 0 {
				t.Errorf("left behind: %v", entries)
			}
		})
	}
	t.Run("interrupted", func(t *testing.T) {
		t.Parallel()
		release := make(chan struct{})
		server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
		t.Cleanup(server.Close)
		t.Cleanup(func() { close(release) })
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		var log logBuffer
		dir, err := os.MkdirTemp("", "pghub-fetch-") // tidied up by the fetch itself, after the test
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		if _, err := fetch(ctx, fetchConfig{major: 17, cacheDir: dir, repository: server.URL}, log.logger()); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want the cancellation", err)
		}
	})
}
