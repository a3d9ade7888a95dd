package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/pghub/pghub/internal/doctor"
)

var doctorSettings = []setting{settingDatabaseURL, settingDataDir, settingGitHubURL, settingGitHubToken, settingRepo, settingWriteInterval}

func (c *command) doctorCommand() *cobra.Command {
	var live, yes bool
	var cmd *cobra.Command
	cmd = c.subcommand("doctor", "check database, GitHub and settings, and say what to do", doctorSettings, func(ctx context.Context, cfg config) error {
		if live {
			// Never the repositories that the environment or the file name for the mirror.
			return c.liveTest(ctx, cfg, cmd.Flags().Changed(settingRepo.name), yes)
		}
		return c.doctor(ctx, cfg)
	})
	cmd.Flags().BoolVar(&live, "live-test", false, "try in the scratch repository of --repo what pghub relies on; this writes there, asks before, and cleans up")
	cmd.Flags().BoolVar(&yes, "yes", false, "with --live-test: do not ask")
	return cmd
}

// doctor prints a line for each check; its error tells how many failed.
func (c *command) doctor(ctx context.Context, cfg config) error {
	r := doctor.NewReport(c.stdout)
	if err := c.checkDatabase(ctx, cfg, r); err != nil {
		return err
	}
	if cfg.GitHubToken == "" {
		r.Missing(doctor.Fail, "token", "there is none: nothing can be synced or written", "make one on GitHub and give it by "+settingGitHubToken.where())
		return verdict(ctx, r)
	}
	api, err := newGitHub(cfg, c.logger())
	if err != nil {
		return configErrorf("%v (%s)", err, settingGitHubURL.where())
	}
	if doctor.GitHub(ctx, api, r) {
		doctor.Repositories(ctx, api, cfg.Repos, r)
	}
	return verdict(ctx, r)
}

func (c *command) checkDatabase(ctx context.Context, cfg config, r *doctor.Report) error {
	const what = "database"
	if cfg.DatabaseURL == "" {
		dir, err := embeddedDataDir(cfg)
		if err != nil {
			return err
		}
		if _, err := os.Stat(filepath.Join(dir, "pgdata")); err != nil {
			r.Missing(doctor.Warn, what, "there is none in "+dir+" yet", "pghub serve makes it; other places: --data-dir, --database-url")
			return nil
		}
	}
	err := withDatabase(ctx, cfg, c.logger(), func(url string) error {
		doctor.Database(ctx, url, r)
		return nil
	})
	if err != nil && ctx.Err() == nil {
		r.Missing(doctor.Fail, what, err.Error(), "see postgres.log in the data directory")
		return nil
	}
	return err
}

// liveTest asks, and then writes to a repository that the user named for it.
func (c *command) liveTest(ctx context.Context, cfg config, named, yes bool) error {
	if !named || len(cfg.Repos) != 1 {
		return configErrorf("--live-test writes: name exactly one scratch repository for it on the command line, as --repo owner/name")
	}
	if cfg.GitHubToken == "" {
		return settingGitHubToken.bad("is empty: the test needs one that may write to %s", cfg.Repos[0])
	}
	api, err := newGitHub(cfg, c.logger())
	if err != nil {
		return configErrorf("%v (%s)", err, settingGitHubURL.where())
	}
	if !yes {
		if !term.IsTerminal(int(os.Stdin.Fd())) {
			return configErrorf("--live-test asks before it writes, and nobody is at a terminal to answer: add --yes")
		}
		agreed, err := confirm(ctx, os.Stdin, c.stdout, doctor.LivePlan(cfg.Repos[0])+" Go on?")
		if err != nil {
			return err
		}
		if !agreed {
			fmt.Fprintln(c.stdout, "nothing was done")
			return nil
		}
	}
	r := doctor.NewReport(c.stdout)
	if doctor.GitHub(ctx, api, r) {
		doctor.Live(ctx, api, cfg.Repos[0], r)
	}
	return verdict(ctx, r)
}

// confirm asks a question that only y or yes answers. A read of a terminal cannot be called off: when ctx ends before the
// answer, the goroutine that waits for it ends with the process.
func confirm(ctx context.Context, in io.Reader, out io.Writer, question string) (bool, error) {
	fmt.Fprintf(out, "%s [y/N] ", question)
	type reply struct {
		text string
		err  error
	}
	replies := make(chan reply, 1)
	go func() {
		text, err := bufio.NewReader(in).ReadString('\n')
		replies <- reply{text, err}
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(out)
		return false, context.Cause(ctx)
	case r := <-replies:
		if r.err != nil && r.err != io.EOF {
			return false, fmt.Errorf("reading the answer: %w", r.err)
		}
		answer := strings.ToLower(strings.TrimSpace(r.text))
		return answer == "y" || answer == "yes", nil
	}
}

// verdict is an error when a check failed.
func verdict(ctx context.Context, r *doctor.Report) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if n := r.Count(doctor.Fail); n > 0 {
		return fmt.Errorf("doctor: %d of %d checks failed", n, len(r.Findings()))
	}
	return nil
}
