package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestGroupStopsInOrder(t *testing.T) {
	t.Parallel()
	g := newGroup(slog.New(slog.DiscardHandler))
	var mu sync.Mutex
	var stopped []string
	for name, r := range map[string]rank{
		"postgres": rankPostgres, "simulator": rankSimulator, "proxy": rankProxy, "pool": rankPool, "web": rankWeb, "syncer": rankSyncer,
	} {
		g.start(r, name, func(ctx context.Context) error {
			<-ctx.Done()
			mu.Lock()
			defer mu.Unlock()
			stopped = append(stopped, name)
			return ctx.Err()
		})
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := g.wait(ctx); err != nil {
		t.Errorf("wait: %v", err)
	}
	if err := g.stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	if want := []string{"proxy", "syncer", "web", "simulator", "pool", "postgres"}; !slices.Equal(stopped, want) {
		t.Errorf("stopped %v, want %v", stopped, want)
	}
}

func TestGroupPartEndsByItself(t *testing.T) {
	t.Parallel()
	cause := errors.New("lost")
	for _, test := range []struct {
		name string
		err  error
		want string
	}{{"with an error", cause, "the syncer: lost"}, {"without", nil, "the syncer: ended by itself"}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := newGroup(slog.New(slog.DiscardHandler))
			g.start(rankSyncer, "syncer", func(context.Context) error { return test.err })
			if err := g.wait(context.Background()); err == nil || err.Error() != test.want {
				t.Errorf("wait: %v, want %s", err, test.want)
			}
			if err := g.stop(); err != nil {
				t.Errorf("stop: %v", err)
			}
		})
	}
}

func TestGroupPartEndsDuringStart(t *testing.T) {
	t.Parallel()
	g := newGroup(slog.New(slog.DiscardHandler))
	cause := errors.New("lost")
	release := make(chan struct{})
	g.start(rankPostgres, "database", func(context.Context) error { <-release; return cause })
	err := g.during(context.Background(), func(ctx context.Context) error {
		close(release)
		<-ctx.Done()
		return ctx.Err()
	})
	if !errors.Is(err, cause) {
		t.Errorf("got %v, want the cause", err)
	}
	if err := g.stop(); err != nil {
		t.Error(err)
	}
}

func TestGroupErrorOfStopping(t *testing.T) {
	t.Parallel()
	g := newGroup(slog.New(slog.DiscardHandler))
	g.start(rankWeb, "web server", func(ctx context.Context) error { <-ctx.Done(); return errors.New("stuck") })
	if err := g.stop(); err == nil || !strings.Contains(err.Error(), "stopping the web server: stuck") {
		t.Errorf("got %v", err)
	}
}
