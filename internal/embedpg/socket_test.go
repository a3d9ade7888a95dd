package embedpg

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSocketPathTooLong(t *testing.T) {
	t.Parallel()
	dir := dataDir(t, strings.Repeat("long", 30))
	var log logBuffer
	s := mustStart(t, Config{DataDir: dir, Logger: log.logger()})
	if !strings.HasPrefix(s.SocketDir(), "/tmp/pghub-") {
		t.Errorf("socket in %s", s.SocketDir())
	}
	if !strings.Contains(log.String(), s.SocketDir()) {
		t.Errorf("the log does not tell where the socket is: %s", log.String())
	}
	info, err := os.Stat(s.SocketDir())
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o700 {
		t.Errorf("%s has mode %v, want 0700", s.SocketDir(), info.Mode().Perm())
	}
	if got := queryText(t, s.AdminURL(), "SELECT 'here'"); got != "here" {
		t.Errorf("got %q", got)
	}
	mustStop(t, s)
	if _, err := os.Stat(s.SocketDir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there (%v)", s.SocketDir(), err)
	}
}

func TestShortSocketDirOfSomebodyElse(t *testing.T) {
	t.Parallel()
	parent := dataDir(t, "data")
	var log logBuffer
	ours, err := makeShortSocketDir(parent, nil, log.logger())
	if err != nil {
		t.Fatal(err)
	}
	defer ours.remove()
	again, err := makeShortSocketDir(parent, nil, log.logger())
	if err != nil {
		t.Fatal(err)
	}
	if again.path != ours.path {
		t.Errorf("a directory left behind is not used again: %s and %s", ours.path, again.path)
	}
	if err := os.Chmod(ours.path, 0o755); err != nil { // anybody may look in: not ours alone
		t.Fatal(err)
	}
	other, err := makeShortSocketDir(parent, nil, log.logger())
	if err != nil {
		t.Fatal(err)
	}
	defer other.remove()
	if other.path == ours.path {
		t.Errorf("uses %s, which is open to others", other.path)
	}
}

func TestSocketsLeftBehindAreRemoved(t *testing.T) {
	t.Parallel()
	dir := socketDir{path: t.TempDir()}
	left := filepath.Join(dir.path, ".s.PGSQL.5432.lock")
	other := filepath.Join(dir.path, "other")
	for _, name := range []string{left, other} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := dir.clear(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there", left)
	}
	if _, err := os.Stat(other); err != nil {
		t.Error(err)
	}
}
