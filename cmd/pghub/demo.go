package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pghub/pghub/internal/embedpg"
	"github.com/pghub/pghub/internal/ghapi"
	"github.com/pghub/pghub/internal/githubsim"
	"github.com/pghub/pghub/internal/web"
	"github.com/pghub/pghub/syncer"
)

var demoSettings = []setting{settingListen.flagOnly(), settingHTTP.flagOnly(), settingGitHubListen, settingDemoDataDir}

// flagOnly is the same setting without the other ways to give it: the demo must come out the same whatever is configured.
func (s setting) flagOnly() setting {
	s.env = ""
	return s
}

const (
	demoSeed   = 1
	demoRepos  = 3
	demoIssues = 300
	// demoPollInterval is short: somebody who changes the simulated GitHub wants to see it arrive, with --http '' too, when
	// there are no webhooks.
	demoPollInterval = 10 * time.Second
)

// demo shows everything with nothing to set up, until ctx ends.
func (c *command) demo(ctx context.Context, cfg config) (err error) {
	console := &console{out: c.stderr}
	log := newLogger(console, slog.LevelWarn) // the demo tells its own story
	dir, remove, err := demoDataDir(cfg.DataDir)
	if err != nil {
		return err
	}
	defer func() { err = joined(err, remove()) }()
	g := newGroup(log)
	defer func() { err = joined(err, g.stop()) }()
	display := newProgress(console, isTerminal(c.stderr))
	defer display.finish(false)

	err = g.during(ctx, func(ctx context.Context) error {
		sim, githubURL, err := startSimulator(g, cfg.GitHubListen, githubsim.Config{Seed: demoSeed, Repos: demoRepos, Issues: demoIssues})
		if err != nil {
			return err
		}
		fmt.Fprintf(c.stdout, "simulated GitHub: %s (token %s)\n", githubURL, sim.Token())
		fmt.Fprintf(c.stdout, "starting PostgreSQL in %s\n", dir)
		server, err := startEmbedded(ctx, g, embedpg.Config{DataDir: dir, Fast: cfg.DataDir == ""}, log)
		if err != nil {
			return err
		}
		pool, err := startPool(ctx, g, server.AdminURL())
		if err != nil {
			return err
		}
		// The simulated GitHub has no secondary limits: no pauses.
		api, err := ghapi.New(ghapi.Config{BaseURL: githubURL, Token: sim.Token(), PointsPerMinute: -1, UserAgent: "pghub", Logger: log})
		if err != nil {
			return err
		}
		proxyAddr, err := startProxy(ctx, g, cfg.Listen, server.AdminURL(), pool, api, log)
		if err != nil {
			return err
		}
		secret := rand.Text()
		webAddr, err := startWeb(g, cfg.HTTP, web.Config{
			Proxy: proxyAddr, Database: pool, Sync: readiness(pool), Webhooks: inbox(pool, secret), Logger: log,
		})
		if err != nil {
			return err
		}
		fmt.Fprintf(c.stdout, "proxy: listening on %s\n", proxyAddr)
		if webAddr != nil {
			fmt.Fprintf(c.stdout, "http: listening on %s\n", webAddr)
			sim.SetWebhook("http://"+reachableAddress(webAddr)+web.WebhookPath, secret)
		}
		sync, err := syncer.New(syncer.Config{Pool: pool, API: api, PollInterval: demoPollInterval, Logger: log, Progress: display})
		if err != nil {
			return err
		}
		g.start(rankSyncer, "syncer", sync.Run)
		if err := awaitBackfill(ctx, pool, 100*time.Millisecond); err != nil {
			return err
		}
		display.finish(true)
		password, err := appPassword(dir)
		if err != nil {
			return fmt.Errorf("reading the password of role %s: %w", appRole, err)
		}
		return printReady(ctx, c.stdout, pool, appURL(reachableAddress(proxyAddr), password))
	})
	if err != nil {
		return err
	}
	err = g.wait(ctx)
	if err == nil {
		fmt.Fprintln(c.stderr, "stopping")
	}
	return err
}

// demoDataDir is the directory given, or a temporary one with the function that removes it.
func demoDataDir(given string) (dir string, remove func() error, err error) {
	if given != "" {
		return given, func() error { return nil }, nil
	}
	dir, err = os.MkdirTemp("", "pghub-demo-")
	if err != nil {
		return "", nil, fmt.Errorf("creating a temporary directory: %w", err)
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return "", nil, fmt.Errorf("creating a temporary directory: %w", err)
	}
	return dir, func() error {
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("removing the demo's data: %w", err)
		}
		return nil
	}, nil
}

// printReady prints where to connect and two statements that work on the data there is.
func printReady(ctx context.Context, out io.Writer, pool *pgxpool.Pool, url string) error {
	var repositoryID, number int64
	var fullName string
	err := pool.QueryRow(ctx, `
SELECT r.id, r.full_name, i.number
  FROM github.issue i JOIN github.repository r ON r.id = i.repository_id
 WHERE i.state = 'open' AND NOT i.locked
 ORDER BY r.id, i.number LIMIT 1`).Scan(&repositoryID, &fullName, &number)
	if err != nil {
		return errors.Join(errors.New("the simulated GitHub has no open issue to show"), err)
	}
	_, err = fmt.Fprintf(out, `
ready: %s

In another terminal:  psql '%s'
and there, for example (repository %s):

  INSERT INTO issue (repository_id, title, body, labels)
  VALUES (%d, 'It works', 'from psql', '{bug}') RETURNING id, number, html_url;

  UPDATE issue SET state = 'closed', state_reason = 'completed'
  WHERE repository_id = %d AND number = %d RETURNING number, state, closed_at;

Ctrl-C ends the demo.
`, url, url, fullName, repositoryID, repositoryID, number)
	return err
}
