package embedpg

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// helperEnv makes the test binary start a server in the directory it holds, print the server's pid and wait to be killed.
const helperEnv = "PGHUB_EMBEDPG_TEST_SERVE"

func TestMain(m *testing.M) {
	if dir := os.Getenv(helperEnv); dir != "" {
		s, err := Start(context.Background(), Config{DataDir: dir, Fast: true})
		if err != nil {
			os.Stderr.WriteString(err.Error())
			os.Exit(1)
		}
		os.Stdout.WriteString(strconv.Itoa(s.process.pid()) + "\n")
		<-s.Done()
		return
	}
	os.Exit(m.Run())
}

func TestKilledParentTakesServerAlong(t *testing.T) {
	t.Parallel()
	dir := dataDir(t, "data")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(testContext(t), exe)
	cmd.Env = append(os.Environ(), helperEnv+"="+dir)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("the helper did not start a server: %v", err)
	}
	server, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}

	_, err = Start(testContext(t), Config{DataDir: dir})
	var inUse *InUseError
	if !errors.As(err, &inUse) || inUse.PID != cmd.Process.Pid || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v, want one line that names process %d", err, cmd.Process.Pid)
	}

	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()                          // it was killed: that is its error
	s := mustStart(t, Config{DataDir: dir}) // waits for the orphan to end
	if isServerOf(server, filepath.Join(dir, "pgdata")) {
		t.Errorf("server %d outlives the process that started it", server)
	}
	if s.process.pid() == server {
		t.Error("the same server")
	}
}

// TestLiveServerWithoutPghub: somebody runs the cluster with other means, so that only postmaster.pid tells.
func TestLiveServerWithoutPghub(t *testing.T) {
	t.Parallel()
	dir := dataDir(t, "data")
	s := mustStart(t, Config{DataDir: dir})
	if err := s.lock.Close(); err != nil {
		t.Fatal(err)
	}
	s.lock = nil
	_, err := Start(testContext(t), Config{DataDir: dir, orphanWait: time.Nanosecond})
	var inUse *InUseError
	if !errors.As(err, &inUse) || inUse.PID != s.process.pid() || inUse.Process != "PostgreSQL" {
		t.Errorf("got %v, want it to name server %d", err, s.process.pid())
	}
	if got := queryText(t, s.AdminURL(), "SELECT 'alive'"); got != "alive" {
		t.Errorf("the live server was disturbed: %q", got)
	}
}

func TestStalePidFile(t *testing.T) {
	t.Parallel()
	dead := exec.CommandContext(testContext(t), "true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	// A stranger that runs as the server's user: PostgreSQL by itself takes it for a live server.
	o, err := serverOwner()
	if err != nil {
		t.Fatal(err)
	}
	stranger := exec.CommandContext(testContext(t), "sleep", "600")
	stranger.SysProcAttr = &syscall.SysProcAttr{Credential: o.credential()}
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stranger.Process.Kill()
		_ = stranger.Wait()
	})

	for name, content := range map[string]string{
		"dead process": strconv.Itoa(dead.Process.Pid) + "\n/nowhere\n",
		"stranger":     strconv.Itoa(stranger.Process.Pid) + "\n/nowhere\n",
		"empty":        "",
		"garbage":      "not a number\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := dataDir(t, "data")
			mustStop(t, mustStart(t, Config{DataDir: dir}))
			for _, file := range []string{
				filepath.Join(dir, "pgdata", "postmaster.pid"),
				filepath.Join(dir, "run", ".s.PGSQL.5432.lock"),
			} {
				if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
				if err := o.own(file); err != nil {
					t.Fatal(err)
				}
			}
			var log logBuffer
			mustStart(t, Config{DataDir: dir, Logger: log.logger()})
			if !strings.Contains(log.String(), "stale pid file") {
				t.Errorf("nothing is said about the stale file: %s", log.String())
			}
		})
	}
}

func TestCrashedServerRecovers(t *testing.T) {
	t.Parallel()
	dir := dataDir(t, "data")
	s := mustStart(t, Config{DataDir: dir})
	if err := syscall.Kill(s.process.pid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-s.Done()
	mustStop(t, s)
	if got := queryText(t, mustStart(t, Config{DataDir: dir}).AdminURL(), "SELECT 'up'"); got != "up" {
		t.Errorf("got %q", got)
	}
}
