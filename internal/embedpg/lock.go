package embedpg

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// InUseError tells that a live process runs this data directory.
type InUseError struct {
	DataDir string
	Process string // what runs it: "pghub" or "PostgreSQL"
	PID     int    // 0 when unknown
}

// Error is one line that names the directory and the process.
func (e *InUseError) Error() string {
	who := "another " + e.Process
	if e.PID != 0 {
		who += " (process " + strconv.Itoa(e.PID) + ")"
	}
	return fmt.Sprintf("data directory %s is in use by %s: stop it first, or choose another data directory", e.DataDir, who)
}

// lockDataDir makes the data directory ours until the file is closed or this process ends, however it ends. A holder that
// is just going away gets a moment.
func lockDataDir(ctx context.Context, dataDir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dataDir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking data directory: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("locking data directory %s: %w", dataDir, err)
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		pid := 0
		if text, err := os.ReadFile(f.Name()); err == nil {
			pid, _ = strconv.Atoi(strings.TrimSpace(string(text))) // only for the message
		}
		return nil, &InUseError{DataDir: dataDir, Process: "pghub", PID: pid}
	}
	// The content is only for people and for the message above; the lock itself is what counts.
	if err := f.Truncate(0); err != nil {
		return nil, errors.Join(fmt.Errorf("locking data directory: %w", err), f.Close())
	}
	if _, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		return nil, errors.Join(fmt.Errorf("locking data directory: %w", err), f.Close())
	}
	return f, nil
}

// defaultOrphanWait is how long the server of a pghub that was killed gets to shut down; it is told by the kernel at once.
const defaultOrphanWait = 15 * time.Second

// awaitNoServer returns when no server runs on pgdata, and removes what one that is gone left behind: PostgreSQL itself
// takes a postmaster.pid for live whenever some process, be it a stranger, has that number now.
func awaitNoServer(ctx context.Context, pgdata string, orphanWait time.Duration, log *slog.Logger) error {
	path := filepath.Join(pgdata, "postmaster.pid")
	deadline := time.Now().Add(orphanWait)
	told := false
	for {
		pid, err := readPostmasterPID(path)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if pid == 0 || !isServerOf(pid, pgdata) {
			log.Warn("removing the stale pid file of a PostgreSQL server that is gone", "file", path, "pid", pid)
			if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("removing stale pid file: %w", err)
			}
			return nil
		}
		if time.Now().After(deadline) {
			return &InUseError{DataDir: filepath.Dir(pgdata), Process: "PostgreSQL", PID: pid}
		}
		if !told {
			told = true
			log.Info("a PostgreSQL server still runs in the data directory: waiting for it to end", "pid", pid, "at_most", orphanWait)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the PostgreSQL server in %s (process %d) to end: %w", pgdata, pid, context.Cause(ctx))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// readPostmasterPID reads the first line of a postmaster.pid; 0 means that it holds no process number (an empty file is what
// a machine that lost power may leave).
func readPostmasterPID(path string) (int, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, fmt.Errorf("reading pid file: %w", err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || pid <= 0 {
		return 0, nil
	}
	return pid, nil
}
