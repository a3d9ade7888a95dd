package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/pghub/pghub/internal/ghapi"
	"github.com/pghub/pghub/proxy"
	"github.com/pghub/pghub/schema"
	"github.com/pghub/pghub/writers"
)

// childCommand makes this program run the proxy alone, so that its processor time can be told from that of everything else.
// The child reads its configuration from standard input as one line of JSON, prints its address, answers each further
// line with the processor time it has used, and ends with its input.
const childCommand = "proxy-child"

type childConfig struct {
	DatabaseURL, GitHubURL, Token string
	Profile                       string
	Verbose                       bool
}

func runChild(in io.Reader, out io.Writer) (err error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	lines := bufio.NewScanner(in)
	if !lines.Scan() {
		return errors.New("no configuration")
	}
	var cfg childConfig
	if err := json.Unmarshal(lines.Bytes(), &cfg); err != nil {
		return err
	}
	if cfg.Profile != "" {
		file, err := os.Create(cfg.Profile)
		if err != nil {
			return err
		}
		defer file.Close()
		if err := pprof.StartCPUProfile(file); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	log := slog.New(slog.DiscardHandler)
	if cfg.Verbose {
		log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	api, err := ghapi.New(ghapi.Config{BaseURL: cfg.GitHubURL, Token: cfg.Token, Logger: log})
	if err != nil {
		return err
	}
	pool, err := schema.Connect(ctx, cfg.DatabaseURL)
	if err != nil {
		return err
	}
	defer pool.Close()
	p, err := proxy.New(ctx, proxy.Config{
		Listen: "127.0.0.1:0", DatabaseURL: cfg.DatabaseURL, Pool: pool, Logger: log,
		Writer: writers.New(api, proxy.Mirror{Pool: pool}, writers.WithLogger(log)),
	})
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- p.Serve(ctx) }()
	fmt.Fprintln(out, p.Addr())
	for lines.Scan() {
		used, err := ownCPU()
		if err != nil {
			return err
		}
		fmt.Fprintln(out, int64(used))
	}
	cancel()
	return errors.Join(lines.Err(), <-served)
}

func ownCPU() (time.Duration, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, err
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}

// proxyProcess is a running child.
type proxyProcess struct {
	address string
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Scanner
}

func startProxy(ctx context.Context, s *stand, p plan, g *github) (*proxyProcess, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	child := &proxyProcess{cmd: exec.Command(self, childCommand)}
	child.cmd.Stderr = os.Stderr
	if child.in, err = child.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := child.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	child.out = bufio.NewScanner(out)
	if err := child.cmd.Start(); err != nil {
		return nil, err
	}
	cfg, err := json.Marshal(childConfig{DatabaseURL: s.server.AdminURL(), GitHubURL: g.URL + "/", Token: g.Token(), Profile: p.profile, Verbose: s.log.Enabled(ctx, slog.LevelError)})
	if err != nil {
		return nil, errors.Join(err, child.close())
	}
	if child.address, err = child.ask(string(cfg)); err != nil {
		return nil, errors.Join(fmt.Errorf("starting the proxy: %w", err), child.close())
	}
	return child, nil
}

// ask sends a line and returns the child's next one.
func (p *proxyProcess) ask(line string) (string, error) {
	if _, err := io.WriteString(p.in, line+"\n"); err != nil {
		return "", err
	}
	if !p.out.Scan() {
		return "", errors.Join(errors.New("it ended"), p.out.Err())
	}
	return p.out.Text(), nil
}

// cpu is the processor time that the child has used so far.
func (p *proxyProcess) cpu() (time.Duration, error) {
	answer, err := p.ask("usage")
	if err != nil {
		return 0, fmt.Errorf("asking the proxy for its processor time: %w", err)
	}
	n, err := strconv.ParseInt(strings.TrimSpace(answer), 10, 64)
	return time.Duration(n), err
}

// close ends the child and waits for it, at most 15 s before it is killed.
func (p *proxyProcess) close() error {
	_ = p.in.Close()
	kill := time.AfterFunc(15*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer kill.Stop()
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("the proxy: %w", err)
	}
	return nil
}
