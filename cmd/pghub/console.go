package main

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"

	"golang.org/x/term"
)

// console is where log lines go. While a progress bar is shown they go above it.
type console struct {
	mu    sync.Mutex
	out   io.Writer
	above io.Writer // of the bar; nil without one
}

// Write writes one log line.
func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.above != nil {
		if n, err := c.above.Write(p); err == nil {
			return n, nil
		}
	}
	return c.out.Write(p)
}

func (c *console) writeAbove(bar io.Writer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.above = bar
}

// logger writes what a person running pghub should know.
func (c *command) logger() *slog.Logger { return newLogger(c.stderr, slog.LevelInfo) }

func newLogger(out io.Writer, level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: level}))
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// reachableAddress is an address to give to somebody on this machine: a listener on all addresses is reached by loopback.
func reachableAddress(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return addr.String()
	}
	return (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: tcp.Port}).String()
}

// joined is errors.Join, except that one error alone stays itself.
func joined(errs ...error) error {
	var real []error
	for _, err := range errs {
		if err != nil {
			real = append(real, err)
		}
	}
	if len(real) == 1 {
		return real[0]
	}
	return errors.Join(real...)
}
