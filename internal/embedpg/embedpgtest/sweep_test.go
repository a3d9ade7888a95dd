package embedpgtest

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func TestSweep(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	old := time.Now().Add(-2 * sweepAge)
	for name, make := range map[string]func(dir string){
		"left":    func(string) {},
		"held":    func(string) {},
		"running": func(dir string) { write(t, filepath.Join(dir, "pgdata", "postmaster.pid")) },
		"young":   func(string) {},
	} {
		dir := filepath.Join(parent, dirPrefix+name)
		write(t, filepath.Join(dir, "lock"))
		make(dir)
		if name != "young" {
			if err := os.Chtimes(dir, old, old); err != nil {
				t.Fatal(err)
			}
		}
	}
	held, err := os.Open(filepath.Join(parent, dirPrefix+"held", "lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if err := syscall.Flock(int(held.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	sweep(parent)
	for name, want := range map[string]bool{"left": false, "held": true, "running": true, "young": true} {
		if _, err := os.Stat(filepath.Join(parent, dirPrefix+name)); (err == nil) != want {
			t.Errorf("%s: is there: %v, want %v", name, err == nil, want)
		}
	}
}

func write(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}
