//go:build unix && !linux

package embedpg

import (
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// sysProcAttr: a session of its own and the unprivileged user.
func sysProcAttr(o *owner) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Credential: o.credential()}
}

// watchParent starts a shell that waits for the end of a pipe that only we hold, and then asks the server for a fast
// shutdown: the pipe ends when we do, however that happens.
func watchParent(pid int, o *owner) (stop func()) {
	cmd := exec.Command("/bin/sh", "-c", `read -r _ || kill -INT "$1"`, "sh", strconv.Itoa(pid))
	cmd.SysProcAttr = sysProcAttr(o)
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return func() {}
	}
	if err := cmd.Start(); err != nil {
		_ = pipe.Close()
		return func() {}
	}
	return func() {
		// A line instead of the end: the server is gone, its number may be somebody else's.
		_, _ = pipe.Write([]byte("\n"))
		_ = pipe.Close()
		_ = cmd.Wait()
	}
}

// isServerOf reports whether the process looks like a PostgreSQL server. Whether it runs on pgdata cannot be seen without
// more rights; the answer is then yes: a pid file is removed only when its server is surely gone.
func isServerOf(pid int, _ string) bool {
	out, err := exec.Command("ps", "-o", "comm=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return false // no such process
	}
	name := filepath.Base(strings.TrimSpace(string(out)))
	return strings.HasPrefix(name, "postgres") || name == "postmaster"
}
