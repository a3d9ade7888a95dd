package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// bouncerProcess is a running PgBouncer, the peer that a relay is compared with.
type bouncerProcess struct {
	address string
	version string
	cmd     *exec.Cmd
}

// startPgBouncer runs PgBouncer in session mode in front of the stand's server. It returns an error that wraps
// exec.ErrNotFound if it is not installed.
func startPgBouncer(ctx context.Context, s *stand) (*bouncerProcess, error) {
	program, err := findProgram("pgbouncer")
	if err != nil {
		return nil, err
	}
	version, err := exec.CommandContext(ctx, program, "--version").Output()
	if err != nil {
		return nil, fmt.Errorf("pgbouncer --version: %w", err)
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(version)), "\n")
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(s.dir, "pgbouncer")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	config := fmt.Sprintf(`[databases]
pghub = host=%s port=%d dbname=pghub
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = scram-sha-256
auth_file = %s/users
pool_mode = session
default_pool_size = 50
ignore_startup_parameters = extra_float_digits
logfile = %s/log
`, s.server.SocketDir(), s.server.Port(), port, dir, dir)
	for name, text := range map[string]string{"ini": config, "users": fmt.Sprintf("%q %q\n", clientRole, s.password)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	b := &bouncerProcess{address: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), version: first}
	b.cmd = exec.Command(program, "-q", filepath.Join(dir, "ini"))
	if os.Geteuid() == 0 { // it refuses to run as root
		if err := giveAway(b.cmd, dir); err != nil {
			return nil, err
		}
	}
	if err := b.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting pgbouncer: %w", err)
	}
	if err := answers(ctx, s.clientURL(b.address)); err != nil {
		log, _ := os.ReadFile(filepath.Join(dir, "log"))
		return nil, errors.Join(fmt.Errorf("pgbouncer does not answer: %w: %s", err, log), b.close())
	}
	return b, nil
}

// giveAway lets cmd run as an unprivileged user, who gets dir.
func giveAway(cmd *exec.Cmd, dir string) error {
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			return err
		}
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return err
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	return filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, uid, gid)
	})
}

// freePort asks the kernel for a port; PgBouncer cannot pick one itself.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// answers waits, at most 10 s, until a query works.
func answers(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		conn, err := pgx.Connect(ctx, url)
		if err == nil {
			err = conn.Ping(ctx)
			_ = conn.Close(context.WithoutCancel(ctx))
			if err == nil {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(wait):
		}
	}
}

// cpu reads the processor time from /proc, in steps of 10 ms; elsewhere than on Linux it stays zero.
func (b *bouncerProcess) cpu() (time.Duration, error) {
	if runtime.GOOS != "linux" {
		return 0, nil
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", b.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(stat), ") ") // behind the command's name; utime and stime are fields 14 and 15
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("unexpected /proc stat line %q", stat)
	}
	ticks := 0
	for _, f := range fields[11:13] {
		n, err := strconv.Atoi(f)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}

// close ends PgBouncer at once, by its own process id, and waits for it.
func (b *bouncerProcess) close() error {
	if err := b.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	kill := time.AfterFunc(10*time.Second, func() { _ = b.cmd.Process.Kill() })
	defer kill.Stop()
	_ = b.cmd.Wait() // killed by the signal: not an error
	return nil
}
