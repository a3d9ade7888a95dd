// Command bench measures pghub as a whole: statements per second through the proxy against direct, the time that write-through
// adds to GitHub's own, and the speed of a first backfill. It brings everything it needs: a PostgreSQL cluster, a simulated
// GitHub and the proxy, all on loopback and in a temporary directory. docs/performance.md tells how to read what it prints.
//
// What is compared runs interleaved, round by round, so that a neighbour's load on the machine meets all sides; figures are
// medians, ratios are taken within each round before their median.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// plan is how much is measured.
type plan struct {
	parts   []string
	rounds  int           // of everything that is compared, but reads
	reads   int           // rounds of reads: many short ones, because load from outside comes in bursts
	seconds int           // of one pgbench run
	scale   int           // of pgbench's tables
	writes  int           // statements of a kind in a round
	rows    int           // of a statement that writes several
	issues  int           // in the backfill
	limit   time.Duration // for the whole run
	profile string        // file for the proxy's processor profile; empty: none
}

var parts = []string{"proxy", "classify", "write", "backfill"}

func main() {
	if len(os.Args) > 1 && os.Args[1] == childCommand {
		if err := runChild(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	quick := flag.Bool("quick", false, "less than a minute, for a look; the figures scatter more")
	rounds := flag.Int("rounds", 0, "rounds of everything that is compared (default 3, of reads 7; quick 1)")
	seconds := flag.Int("seconds", 1, "seconds of one pgbench run")
	profile := flag.String("profile", "", "write the proxy's processor profile into this `file` (of the last part that runs a proxy)")
	only := flag.String("only", strings.Join(parts, ","), "parts to run")
	update := flag.String("update", "", "put the result into this Markdown `file`, between its markers")
	verbose := flag.Bool("v", false, "show what the parts log")
	flag.Parse()

	p := plan{rounds: 3, reads: 7, scale: 10, writes: 60, rows: 100, issues: 10_000, limit: 12 * time.Minute}
	if *quick {
		p = plan{rounds: 1, reads: 1, scale: 1, writes: 40, rows: 100, issues: 1_000, limit: 3 * time.Minute}
	}
	if *rounds > 0 {
		p.rounds, p.reads = *rounds, *rounds
	}
	p.seconds = max(*seconds, 1)
	p.profile = *profile
	p.parts = strings.Split(*only, ",")

	log := slog.New(slog.DiscardHandler)
	if *verbose {
		log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, p.limit)
	defer cancel()

	var report bytes.Buffer
	err := run(ctx, p, log, io.MultiWriter(os.Stdout, &report))
	if err == nil && *update != "" {
		err = updateFile(*update, report.String())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, p plan, log *slog.Logger, out io.Writer) (err error) {
	for _, part := range p.parts {
		if !slices.Contains(parts, part) {
			return fmt.Errorf("there is no part %q; the parts are %s", part, strings.Join(parts, ", "))
		}
	}
	began := time.Now()
	s, err := newStand(ctx, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := describeMachine(ctx, s, p, out); err != nil {
		return err
	}
	for _, part := range p.parts {
		switch part {
		case "proxy":
			err = benchReads(ctx, s, p, out)
		case "classify":
			err = benchClassify(ctx, p, out)
		case "write":
			err = benchWrites(ctx, s, p, out)
		case "backfill":
			err = benchBackfill(ctx, s, p, out)
		}
		if err != nil {
			return fmt.Errorf("measuring %s: %w", part, err)
		}
	}
	fmt.Fprintf(os.Stderr, "bench: finished after %s\n", time.Since(began).Round(time.Second))
	return nil
}
