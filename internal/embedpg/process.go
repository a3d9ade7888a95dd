package embedpg

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// maxLogSize is when the server's log is put aside at a start (postgres.log.1, one generation).
const maxLogSize = 16 << 20

// process is the server's process.
type process struct {
	cmd     *exec.Cmd
	logFile string
	logFrom int64         // where this run's lines begin
	done    chan struct{} // closed when the process has ended
	err     error         // how; only valid after done
}

// startProcess starts the server in a session of its own, so that Ctrl-C in our terminal does not reach it: we stop it when
// everything that uses it has ended.
func startProcess(bin binaries, args []string, dataDir string, o *owner) (*process, error) {
	logFile := filepath.Join(dataDir, "postgres.log")
	log, err := openLog(logFile, o)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	end, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, fmt.Errorf("opening the server's log: %w", err)
	}
	cmd := exec.Command(filepath.Join(bin.dir, "postgres"), args...)
	cmd.Dir = dataDir
	cmd.Env = serverEnv()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = sysProcAttr(o)
	p := &process{cmd: cmd, logFile: logFile, logFrom: end, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		_ = withParentThread(func() error {
			err := cmd.Start()
			started <- err
			if err != nil {
				return err
			}
			stopWatching := watchParent(cmd.Process.Pid, o)
			p.err = cmd.Wait()
			stopWatching()
			close(p.done)
			return p.err
		})
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", cmd.Path, err)
	}
	return p, nil
}

func openLog(path string, o *owner) (*os.File, error) {
	if info, err := os.Stat(path); err == nil && info.Size() > maxLogSize {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, fmt.Errorf("putting the server's log aside: %w", err)
		}
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the server's log: %w", err)
	}
	if err := o.own(path); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// stop asks for a fast shutdown and waits. When ctx ends it demands an immediate one, and at last kills: what was committed
// is in the write-ahead log in each case.
func (p *process) stop(ctx context.Context) error {
	if ended, err := p.signal(ctx, syscall.SIGINT); ended || err != nil {
		return err
	}
	for _, sig := range []syscall.Signal{syscall.SIGQUIT, syscall.SIGKILL} {
		grace, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		ended, err := p.signal(grace, sig)
		cancel()
		if err != nil {
			return err
		}
		if ended {
			return fmt.Errorf("embedded PostgreSQL did not stop in time and was ended (%v); it will recover at its next start", sig)
		}
	}
	return fmt.Errorf("embedded PostgreSQL (process %d) does not end", p.pid())
}

// signal sends one and waits, until ctx ends, for the process to end.
func (p *process) signal(ctx context.Context, sig syscall.Signal) (ended bool, err error) {
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return false, fmt.Errorf("stopping embedded PostgreSQL (process %d): %w", p.pid(), err)
	}
	select {
	case <-p.done:
		return true, nil
	case <-ctx.Done():
		return false, nil
	}
}

// logTail is the end of what this run has written to the log.
func (p *process) logTail() string {
	const most = 2000
	f, err := os.Open(p.logFile)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	from := p.logFrom
	if info, err := f.Stat(); err == nil {
		from = max(from, info.Size()-most)
	}
	text, err := io.ReadAll(io.NewSectionReader(f, from, most))
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(text))
}

// withParentThread runs f on a thread that stays as long as f runs. On Linux the parent whose death a child is told of is
// the thread that started it, not the process (prctl(2), PR_SET_PDEATHSIG).
func withParentThread(f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return f()
}
