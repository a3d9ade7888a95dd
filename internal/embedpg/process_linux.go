package embedpg

import (
	"fmt"
	"os"
	"strings"
	"syscall"
)

// sysProcAttr: a session of its own, the unprivileged user, and a fast shutdown (SIGINT) should we die first.
func sysProcAttr(o *owner) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGINT, Credential: o.credential()}
}

// watchParent has nothing to do: the kernel tells the server of our death.
func watchParent(int, *owner) (stop func()) { return func() {} }

// isServerOf reports whether the process is a PostgreSQL server that runs on pgdata: its name is postgres and it works there.
// Where the directory it works in cannot be read the answer is yes: a pid file is removed only when its server is surely gone.
func isServerOf(pid int, pgdata string) bool {
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return false
	}
	if name := strings.TrimSpace(string(comm)); name != "postgres" && name != "postmaster" {
		return false
	}
	cwd, err := os.Stat(fmt.Sprintf("/proc/%d/cwd", pid))
	if err != nil {
		return !os.IsNotExist(err)
	}
	data, err := os.Stat(pgdata)
	return err != nil || os.SameFile(cwd, data)
}
