package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pghub/pghub/internal/embedpg"
	"github.com/pghub/pghub/internal/web"
	"github.com/pghub/pghub/syncer"
)

// serve keeps the mirror and serves it until ctx ends.
func (c *command) serve(ctx context.Context, cfg config) (err error) {
	if cfg.GitHubToken == "" {
		return settingGitHubToken.bad("is empty: serve needs one; without, pghub proxy runs the proxy alone and pghub demo shows all of it with a simulated GitHub")
	}
	console := &console{out: c.stderr}
	log := newLogger(console, slog.LevelInfo)
	api, err := newGitHub(cfg, log)
	if err != nil {
		return configErrorf("%v (%s)", err, settingGitHubURL.where())
	}
	dir := ""
	if cfg.DatabaseURL == "" {
		if dir, err = embeddedDataDir(cfg); err != nil {
			return err
		}
	}
	if err := checkToken(ctx, api, log); err != nil {
		return err
	}

	g := newGroup(log)
	defer func() { err = joined(err, g.stop()) }()
	display := newProgress(console, isTerminal(c.stderr))
	defer display.finish(false)
	var pool *pgxpool.Pool
	err = g.during(ctx, func(ctx context.Context) error {
		url := cfg.DatabaseURL
		if url == "" {
			server, err := startEmbedded(ctx, g, embedpg.Config{DataDir: dir}, log)
			if err != nil {
				return err
			}
			url = server.AdminURL()
		} else if err := migrate(ctx, url); err != nil {
			return err
		}
		var err error
		if pool, err = startPool(ctx, g, url); err != nil {
			return err
		}
		proxyAddr, err := startProxy(ctx, g, cfg.Listen, url, pool, api, log)
		if err != nil {
			return err
		}
		if cfg.WebhookSecret == "" {
			log.Info("no webhook secret: there is no "+web.WebhookPath+", changes arrive by polling alone", "poll_interval", cfg.PollInterval)
		}
		webAddr, err := startWeb(g, cfg.HTTP, web.Config{
			Proxy: proxyAddr, Database: pool, Sync: readiness(pool), Webhooks: inbox(pool, cfg.WebhookSecret), Logger: log,
		})
		if err != nil {
			return err
		}
		sync, err := syncer.New(syncer.Config{
			Pool: pool, API: api, Repos: cfg.Repos, PollInterval: cfg.PollInterval, DeliveryRetention: cfg.WebhookRetention, Logger: log, Progress: display,
		})
		if err != nil {
			return err
		}
		g.start(rankSyncer, "syncer", sync.Run)
		c.announce(proxyAddr, webAddr, dir)
		return nil
	})
	if err != nil {
		return err
	}
	if err := g.during(ctx, func(ctx context.Context) error { return awaitBackfill(ctx, pool, time.Second) }); err != nil {
		if ctx.Err() != nil { // asked to stop before the backfill was through: it goes on where it stopped
			fmt.Fprintln(c.stderr, "stopping")
			return nil
		}
		return err
	}
	display.finish(true)
	log.Info("the first backfill is complete")
	err = g.wait(ctx)
	if err == nil {
		fmt.Fprintln(c.stderr, "stopping")
	}
	return err
}

// announce says where clients connect to. dataDir is empty when the database is the user's own.
func (c *command) announce(proxyAddr, webAddr net.Addr, dataDir string) {
	address := reachableAddress(proxyAddr)
	fmt.Fprintf(c.stdout, "proxy: listening on %s\n", proxyAddr)
	if webAddr != nil {
		fmt.Fprintf(c.stdout, "http: listening on %s\n", webAddr)
	}
	if dataDir == "" {
		return
	}
	passwordFile := filepath.Join(dataDir, appPasswordFile)
	fmt.Fprintf(c.stdout, "connect as role %s; its password is in %s:\n  PGPASSWORD=\"$(cat '%s')\" psql %s\n",
		appRole, passwordFile, passwordFile, appURL(address, ""))
}

// awaitBackfill returns when everything that is followed has been read once.
func awaitBackfill(ctx context.Context, pool *pgxpool.Pool, interval time.Duration) error {
	for {
		ready, _, err := syncer.Ready(ctx, pool)
		if err != nil && ctx.Err() == nil && !passing(err) {
			return err
		}
		if ready {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(interval):
		}
	}
}

// passing reports whether an error of the database may go away by itself, as when its server is restarted: errors of the
// network, and those of classes 08 (connection) and 57 (operator intervention).
func passing(err error) bool {
	var state interface{ SQLState() string }
	if !errors.As(err, &state) {
		return true
	}
	class := state.SQLState()
	return len(class) == 5 && (class[:2] == "08" || class[:2] == "57")
}
