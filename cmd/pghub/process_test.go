package main

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is a pghub that runs beside the test.
type process struct {
	cmd    *exec.Cmd
	lines  chan string // of standard output; closed at its end
	stderr *lockedBuffer

	mu     sync.Mutex
	stdout strings.Builder
	waited bool
}

// startProcess starts a pghub that is killed, should it still run, when the test ends.
func startProcess(ctx context.Context, t *testing.T, environ []string, args ...string) *process {
	t.Helper()
	p := &process{cmd: program(ctx, t, environ, args...), lines: make(chan string, 1000), stderr: new(lockedBuffer)}
	p.cmd.Stderr = p.stderr
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go p.read(stdout)
	t.Cleanup(func() {
		if !p.waited {
			_ = p.cmd.Process.Kill()
			_ = p.cmd.Wait()
		}
		if t.Failed() {
			t.Logf("%s: standard output:\n%s\nstandard error:\n%s", args[0], p.output(), p.stderr.String())
		}
	})
	return p
}

func (p *process) read(stdout io.Reader) {
	defer close(p.lines)
	scanner := bufio.NewScanner(stdout)
	for scanner.Scan() {
		p.mu.Lock()
		p.stdout.WriteString(scanner.Text() + "\n")
		p.mu.Unlock()
		p.lines <- scanner.Text()
	}
}

func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stdout.String()
}

// await returns the rest of the next line of standard output that begins with prefix.
func (p *process) await(ctx context.Context, t *testing.T, prefix string) string {
	t.Helper()
	for {
		select {
		case <-ctx.Done():
			t.Fatalf("no line that begins with %q: %v", prefix, ctx.Err())
		case line, ok := <-p.lines:
			if !ok {
				t.Fatalf("the program ended without a line that begins with %q", prefix)
			}
			if rest, found := strings.CutPrefix(line, prefix); found {
				return rest
			}
		}
	}
}

// end sends a signal and returns how the process ended.
func (p *process) end(t *testing.T, sig os.Signal) *os.ProcessState {
	t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	return p.wait(t)
}

func (p *process) wait(t *testing.T) *os.ProcessState {
	t.Helper()
	for range p.lines { // the pipe must be read to its end before Wait
	}
	p.waited = true
	_ = p.cmd.Wait() // the state tells
	return p.cmd.ProcessState
}

// eventually waits for a condition, within the context's time.
func eventually(ctx context.Context, t *testing.T, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-ctx.Done():
			t.Fatalf("waiting until %s: %v", what, ctx.Err())
		case <-tick.C:
		}
	}
}

// endedBySignal reports whether a signal ended the process rather than itself.
func endedBySignal(state *os.ProcessState) bool {
	status, ok := state.Sys().(syscall.WaitStatus)
	return ok && status.Signaled()
}
