package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pghub/pghub/internal/ghapi"
	"github.com/pghub/pghub/internal/web"
	"github.com/pghub/pghub/proxy"
	"github.com/pghub/pghub/syncer"
	"github.com/pghub/pghub/writers"
)

// newGitHub makes the client that the syncer and the writers share: they live within one budget.
func newGitHub(cfg config, log *slog.Logger) (*ghapi.Client, error) {
	return ghapi.New(ghapi.Config{
		BaseURL: cfg.GitHubURL, Token: cfg.GitHubToken, WriteInterval: cfg.WriteInterval, UserAgent: "pghub", Logger: log,
	})
}

// checkToken asks GitHub, at no cost, whether it knows the token. Only a clear no is an error: GitHub may be unreachable now
// and the mirror still of use.
func checkToken(ctx context.Context, api *ghapi.Client, log *slog.Logger) error {
	_, err := api.Get(ctx, "/rate_limit", nil)
	switch {
	case err == nil || ghapi.ClassOf(err) == ghapi.ClassNotFound: // an Enterprise Server without limits answers 404
		return nil
	case ghapi.ClassOf(err) == ghapi.ClassUnauthorized:
		return fmt.Errorf("GitHub at %s does not accept the token (%s): make a new one and set %s", api.BaseURL(), err, settingGitHubToken.where())
	case ctx.Err() != nil:
		return ctx.Err()
	}
	log.Warn("GitHub does not answer as it should; serving what the mirror has and trying again", "error", err)
	return nil
}

// undefinedTable is what a database without pghub's schema says.
const undefinedTable = "42P01"

// startProxy serves Postgres clients in front of the server that url names. Without api nothing is written to GitHub.
func startProxy(ctx context.Context, g *group, listen, url string, pool *pgxpool.Pool, api *ghapi.Client, log *slog.Logger) (net.Addr, error) {
	cfg := proxy.Config{Listen: listen, DatabaseURL: url, Pool: pool, Logger: log}
	if api != nil {
		cfg.Writer = writers.New(api, proxy.Mirror{Pool: pool}, writers.WithLogger(log))
	}
	p, err := proxy.New(ctx, cfg)
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == undefinedTable {
		return nil, fmt.Errorf("the database does not have pghub's tables; run pghub migrate first: %w", err)
	}
	if err != nil {
		return nil, err
	}
	g.start(rankProxy, "proxy", p.Serve)
	return p.Addr(), nil
}

// startWeb answers health checks. With an empty address there is none, and no listener.
func startWeb(g *group, address string, cfg web.Config) (net.Addr, error) {
	if address == "" {
		return nil, nil
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening for HTTP: %w", err)
	}
	g.start(rankWeb, "web server", func(ctx context.Context) error { return web.Serve(ctx, l, web.Handler(cfg)) })
	return l.Addr(), nil
}

// readiness is the question of /readyz.
func readiness(pool *pgxpool.Pool) func(context.Context) (bool, []syncer.CollectionStatus, error) {
	return func(ctx context.Context) (bool, []syncer.CollectionStatus, error) { return syncer.Ready(ctx, pool) }
}

// inbox keeps webhook deliveries for the syncer. Without a secret there is none.
func inbox(pool *pgxpool.Pool, secret string) web.Webhooks {
	return web.Webhooks{Secret: secret, Store: func(ctx context.Context, d syncer.Delivery) (bool, error) {
		return syncer.StoreDelivery(ctx, pool, d)
	}}
}
