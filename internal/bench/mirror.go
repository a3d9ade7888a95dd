package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/pghub/pghub/internal/ghapi"
	"github.com/pghub/pghub/schema"
	"github.com/pghub/pghub/syncer"
)

// readyPoll is how often a running backfill is asked whether it is complete.
const readyPoll = 10 * time.Millisecond

// mirror backfills a database from GitHub and returns how long that took, from the syncer's start to the moment when the
// mirror was complete. The syncer is stopped again.
func mirror(ctx context.Context, databaseURL string, g *github, log *slog.Logger) (time.Duration, error) {
	pool, err := schema.Connect(ctx, databaseURL)
	if err != nil {
		return 0, err
	}
	defer pool.Close()
	api, err := ghapi.New(ghapi.Config{BaseURL: g.URL + "/", Token: g.Token(), Logger: log})
	if err != nil {
		return 0, err
	}
	s, err := syncer.New(syncer.Config{Pool: pool, API: api, PollInterval: time.Hour, Logger: log})
	if err != nil {
		return 0, err
	}
	running, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	began := time.Now()
	go func() { ended <- s.Run(running) }()
	ticks := time.NewTicker(readyPoll)
	defer ticks.Stop()
	for {
		select {
		case err := <-ended:
			return 0, errors.Join(errors.New("the syncer ended before the mirror was complete"), err)
		case <-ticks.C:
		}
		ready, status, err := s.Ready(ctx)
		if err != nil {
			stop()
			return 0, errors.Join(err, <-ended)
		}
		for _, c := range status {
			if c.LastError != "" {
				stop()
				return 0, errors.Join(fmt.Errorf("%s of %s: %s", c.Collection, c.Repository, c.LastError), <-ended)
			}
		}
		if ready {
			elapsed := time.Since(began)
			stop()
			return elapsed, <-ended
		}
	}
}
