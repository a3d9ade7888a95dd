package embedpg

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
)

// socketDir is the directory of the Unix socket.
type socketDir struct {
	path     string
	fallback bool // outside the data directory; removed at the end
}

// maxSocketPath is the longest path a Unix socket can have: sun_path without its closing NUL (unix(7); 104 bytes on BSD and macOS).
func maxSocketPath() int {
	if runtime.GOOS == "linux" {
		return 107
	}
	return 103
}

// makeSocketDir makes run/ in the data directory, or, where the socket's path would be too long, a private directory in /tmp.
func makeSocketDir(dataDir string, o *owner, log *slog.Logger) (socketDir, error) {
	dir := socketDir{path: filepath.Join(dataDir, "run")}
	// Room for any port: ".s.PGSQL.65535" and, while the server starts, the same with ".lock".
	if len(dir.path)+len("/.s.PGSQL.65535.lock") > maxSocketPath() {
		return makeShortSocketDir(dataDir, o, log)
	}
	if err := os.Mkdir(dir.path, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return socketDir{}, fmt.Errorf("creating the socket's directory: %w", err)
	}
	if err := o.own(dir.path); err != nil {
		return socketDir{}, err
	}
	return dir, dir.clear()
}

// makeShortSocketDir uses a name that follows from the data directory, so that it does not pile up directories when pghub is
// killed. Anybody may make a directory of that name in /tmp first: one that is not ours alone is left alone.
func makeShortSocketDir(dataDir string, o *owner, log *slog.Logger) (socketDir, error) {
	uid := os.Geteuid()
	if o != nil {
		uid = o.uid
	}
	sum := sha256.Sum256([]byte(strconv.Itoa(uid) + ":" + dataDir))
	dir := socketDir{path: "/tmp/pghub-" + hex.EncodeToString(sum[:6]), fallback: true}
	err := os.Mkdir(dir.path, 0o700)
	if err == nil {
		err = o.own(dir.path)
	}
	if errors.Is(err, os.ErrExist) {
		info, statErr := os.Lstat(dir.path)
		if statErr != nil {
			return socketDir{}, fmt.Errorf("looking at the socket's directory: %w", statErr)
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok || !info.IsDir() || info.Mode().Perm() != 0o700 || int(st.Uid) != uid {
			if dir.path, err = os.MkdirTemp("/tmp", "pghub-"); err == nil {
				err = o.own(dir.path)
			}
		} else {
			err = dir.clear()
		}
	}
	if err != nil {
		return socketDir{}, fmt.Errorf("creating the socket's directory: %w", err)
	}
	log.Info("the data directory's path is too long for a Unix socket: using a private directory in /tmp", "socket_dir", dir.path)
	return dir, nil
}

// clear removes sockets that a killed server left. Their lock files are, like postmaster.pid, believed too easily.
func (d socketDir) clear() error {
	names, err := filepath.Glob(filepath.Join(escapeGlob(d.path), ".s.PGSQL.*"))
	if err != nil {
		return fmt.Errorf("looking for sockets left behind: %w", err)
	}
	for _, name := range names {
		if err := os.Remove(name); err != nil {
			return fmt.Errorf("removing a socket left behind: %w", err)
		}
	}
	return nil
}

// remove takes a fallback directory away. It is best effort: the next start reuses the directory.
func (d socketDir) remove() {
	if d.fallback && d.clear() == nil {
		_ = os.Remove(d.path)
	}
}
