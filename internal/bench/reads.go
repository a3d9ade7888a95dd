package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

// target is one way to reach the same database by TCP.
type target struct {
	name    string
	address string
	cpu     func() (time.Duration, error) // processor time of what stands between client and server; nil: nothing does
}

// sample is the outcome of one pgbench run.
type sample struct {
	tps     float64
	latency float64 // milliseconds
	cpu     float64 // microseconds of the middleman per transaction
}

var (
	modes   = []string{"simple", "extended", "prepared"}
	clients = []int{1, 8}
)

// benchReads runs pgbench's single-row SELECT directly, through the proxy and through PgBouncer.
func benchReads(ctx context.Context, s *stand, p plan, out io.Writer) (err error) {
	pgbench, err := findProgram("pgbench")
	if err != nil {
		fmt.Fprintln(out, "\npgbench is not installed (Debian and Ubuntu: the postgresql package); statements per second were not measured.")
		return nil
	}
	if err := fillPgbench(ctx, s, p, pgbench); err != nil {
		return err
	}
	g, err := startGitHub(ctx, 0)
	if err != nil {
		return err
	}
	defer g.close()
	proxied, err := startProxy(ctx, s, p, g)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, proxied.close()) }()
	targets := []target{{name: "direct", address: s.direct()}, {name: "pghub", address: proxied.address, cpu: proxied.cpu}}
	note := "PgBouncer is not installed (Debian and Ubuntu: package pgbouncer), so there is no peer to compare with."
	bouncer, err := startPgBouncer(ctx, s)
	switch {
	case err == nil:
		defer func() { err = errors.Join(err, bouncer.close()) }()
		targets = append(targets, target{name: "PgBouncer", address: bouncer.address, cpu: bouncer.cpu})
		note = bouncer.version + " in session mode; like the proxy it reaches the server by its Unix socket."
	case !errors.Is(err, exec.ErrNotFound):
		return err
	}

	samples := map[string][]sample{}
	key := func(mode string, n int, t target) string { return fmt.Sprint(mode, n, t.name) }
	for round := range p.reads {
		for _, mode := range modes {
			for _, n := range clients {
				for i := range targets {
					t := targets[(i+round)%len(targets)] // nobody always runs first
					got, err := runPgbench(ctx, s, p, pgbench, t, mode, n)
					if err != nil {
						return fmt.Errorf("pgbench, %s: %w", t.name, err)
					}
					samples[key(mode, n, t)] = append(samples[key(mode, n, t)], got)
				}
			}
		}
	}

	tab := table{title: "Reads: pgbench -S", head: []string{"protocol, clients"}, notes: []string{
		"TPS is transactions per second, CPU the processor time of what stands between client and server for one transaction.", note}}
	for _, t := range targets {
		tab.head = append(tab.head, t.name+" TPS", "latency ms")
		if t.cpu != nil {
			tab.head = append(tab.head, "TPS / direct", "CPU µs")
		}
	}
	if len(targets) == 3 {
		tab.head = append(tab.head, "pghub / PgBouncer: TPS", "CPU")
	}
	for _, mode := range modes {
		for _, n := range clients {
			row := []string{fmt.Sprintf("%s, %d", mode, n)}
			series := func(t target, f func(sample) float64) (out []float64) {
				for _, x := range samples[key(mode, n, t)] {
					out = append(out, f(x))
				}
				return out
			}
			tps := func(x sample) float64 { return x.tps }
			cpu := func(x sample) float64 { return x.cpu }
			for _, t := range targets {
				row = append(row, number(median(series(t, tps)), 0), number(median(series(t, func(x sample) float64 { return x.latency })), 3))
				if t.cpu != nil {
					row = append(row, number(median(ratios(series(t, tps), series(targets[0], tps))), 2), number(median(series(t, cpu)), 1))
				}
			}
			if len(targets) == 3 {
				row = append(row, number(median(ratios(series(targets[1], tps), series(targets[2], tps))), 2), number(median(ratios(series(targets[1], cpu), series(targets[2], cpu))), 2))
			}
			tab.add(row...)
		}
	}
	return tab.write(out)
}

// fillPgbench makes pgbench's tables in schema public, readable for clientRole.
func fillPgbench(ctx context.Context, s *stand, p plan, pgbench string) error {
	cmd := exec.CommandContext(ctx, pgbench, "-i", "-q", "-s", strconv.Itoa(p.scale), s.server.AdminURL())
	cmd.Env = append(os.Environ(), "PGOPTIONS=-c search_path=public") // the superuser's own schema is pghub's
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("pgbench -i: %w: %s", err, output)
	}
	return s.admin(ctx, "pghub", func(conn *pgx.Conn) error {
		return execAll(ctx, conn, "GRANT SELECT ON public.pgbench_accounts, public.pgbench_branches TO "+clientRole, "VACUUM ANALYZE public.pgbench_accounts", "CHECKPOINT")
	})
}

var (
	tpsLine       = regexp.MustCompile(`(?m)^tps = ([0-9.]+) \(without`)
	latencyLine   = regexp.MustCompile(`(?m)^latency average = ([0-9.]+) ms`)
	processedLine = regexp.MustCompile(`(?m)^number of transactions actually processed: ([0-9]+)`)
)

func runPgbench(ctx context.Context, s *stand, p plan, pgbench string, t target, mode string, n int) (sample, error) {
	var before, after time.Duration
	var err error
	if t.cpu != nil {
		if before, err = t.cpu(); err != nil {
			return sample{}, err
		}
	}
	cmd := exec.CommandContext(ctx, pgbench, "-S", "-n", "-M", mode, "-c", strconv.Itoa(n), "-j", strconv.Itoa(min(n, 2)), "-T", strconv.Itoa(p.seconds), s.clientURL(t.address))
	output, err := cmd.CombinedOutput()
	if err != nil {
		return sample{}, fmt.Errorf("%w: %s", err, output)
	}
	if t.cpu != nil {
		if after, err = t.cpu(); err != nil {
			return sample{}, err
		}
	}
	var x sample
	var processed float64
	for re, to := range map[*regexp.Regexp]*float64{tpsLine: &x.tps, latencyLine: &x.latency, processedLine: &processed} {
		m := re.FindSubmatch(output)
		if m == nil {
			return sample{}, fmt.Errorf("no %s in its output: %s", re, output)
		}
		if *to, err = strconv.ParseFloat(string(m[1]), 64); err != nil {
			return sample{}, err
		}
	}
	if processed > 0 {
		x.cpu = float64(after-before) / float64(time.Microsecond) / processed
	}
	return x, nil
}

// findProgram looks in PATH, then where Debian keeps what belongs to a server version and to administrators.
func findProgram(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil {
		return path, nil
	}
	versions, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	slices.Sort(versions)
	slices.Reverse(versions)
	for _, candidate := range append(versions, "/usr/sbin/"+name) {
		if info, statErr := os.Stat(candidate); statErr == nil && info.Mode()&0o111 != 0 {
			return candidate, nil
		}
	}
	return "", err
}
