package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pghub/pghub/internal/embedpg"
	"github.com/pghub/pghub/internal/ghapi"
	"github.com/pghub/pghub/internal/web"
)

// proxy runs the proxy alone, until ctx ends. Without a token it only relays; the mirror's triggers then refuse writes to it.
func (c *command) proxy(ctx context.Context, cfg config) (err error) {
	log := newLogger(c.stderr, slog.LevelInfo)
	var api *ghapi.Client
	if cfg.GitHubToken != "" {
		if api, err = newGitHub(cfg, log); err != nil {
			return configErrorf("%v (%s)", err, settingGitHubURL.where())
		}
	} else {
		log.Warn("no GitHub token: reads and writes to your own tables pass, writes to mirrored tables are refused")
	}
	g := newGroup(log)
	defer func() { err = joined(err, g.stop()) }()
	err = g.during(ctx, func(ctx context.Context) error {
		url, dir, err := proxyDatabase(ctx, g, cfg, log)
		if err != nil {
			return err
		}
		health := web.Config{Logger: log}
		var pool *pgxpool.Pool
		if api != nil {
			if pool, err = startPool(ctx, g, url); err != nil {
				return err
			}
			health.Sync = readiness(pool)
		} else {
			// Only for health checks, and made without connecting: clients bring their own roles, the URL need not have a
			// password.
			if pool, err = pgxpool.New(ctx, url); err != nil {
				return fmt.Errorf("preparing connections to the database: %w", err)
			}
			closePool(g, pool)
		}
		proxyAddr, err := startProxy(ctx, g, cfg.Listen, url, pool, api, log)
		if err != nil {
			return err
		}
		health.Proxy, health.Database = proxyAddr, pool
		webAddr, err := startWeb(g, cfg.HTTP, health)
		if err != nil {
			return err
		}
		c.announce(proxyAddr, webAddr, dir)
		return nil
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

// proxyDatabase is the database named by the settings; else the embedded one, which pghub serve may be running already.
func proxyDatabase(ctx context.Context, g *group, cfg config, log *slog.Logger) (url, dataDir string, err error) {
	if cfg.DatabaseURL != "" {
		return cfg.DatabaseURL, "", nil
	}
	dir, err := embeddedDataDir(cfg)
	if err != nil {
		return "", "", err
	}
	running, err := embedpg.RunningURL(dir, "")
	if err != nil {
		return "", "", err
	}
	if running != "" {
		log.Info("using the embedded PostgreSQL that another pghub runs", "data_dir", dir)
		return running, dir, nil
	}
	server, err := startEmbedded(ctx, g, embedpg.Config{DataDir: dir}, log)
	if err != nil {
		return "", "", err
	}
	return server.AdminURL(), dir, nil
}
