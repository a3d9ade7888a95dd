package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// rank says when a part is stopped: lower first. Clients go before what serves them.
type rank int

const (
	rankProxy rank = iota
	rankSyncer
	rankWeb
	rankSimulator
	rankPool
	rankPostgres
)

// stopTimeout is how long one part may take to stop before the next is stopped regardless.
const stopTimeout = 30 * time.Second

// group runs the parts of the program and stops them in the order of their ranks.
type group struct {
	log    *slog.Logger
	failed chan error // the first part that ended by itself

	mu    sync.Mutex
	parts []*part
}

type part struct {
	name   string
	rank   rank
	cancel context.CancelFunc
	done   chan struct{}
	err    error // valid after done
}

func newGroup(log *slog.Logger) *group { return &group{log: log, failed: make(chan error, 1)} }

// start runs a part until stop is called. A part that returns before that is a failure, with an error or without.
func (g *group) start(r rank, name string, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	p := &part{name: name, rank: r, cancel: cancel, done: make(chan struct{})}
	g.mu.Lock()
	g.parts = append(g.parts, p)
	g.mu.Unlock()
	go func() {
		defer close(p.done)
		err := run(ctx)
		if ctx.Err() != nil {
			if err != nil && !errors.Is(err, context.Canceled) {
				p.err = fmt.Errorf("stopping the %s: %w", name, err)
			}
			return
		}
		if err == nil {
			err = errors.New("ended by itself")
		}
		select {
		case g.failed <- fmt.Errorf("the %s: %w", name, err):
		default:
		}
	}()
}

// wait returns nil when ctx ends, or the error of the first part that ended by itself.
func (g *group) wait(ctx context.Context) error {
	select {
	case err := <-g.failed:
		return err
	default:
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-g.failed:
		return err
	}
}

// during runs a step of the start. It ends with an error when ctx ends or a part that is needed fails meanwhile.
func (g *group) during(ctx context.Context, step func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ended := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case err := <-g.failed:
			cancel(err)
		case <-ended:
		}
	}()
	err := step(ctx)
	close(ended)
	<-watched
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return err
}

// stop stops all parts, one after the other, and returns what went wrong in that.
func (g *group) stop() error {
	g.mu.Lock()
	parts := slices.Clone(g.parts)
	g.mu.Unlock()
	slices.SortStableFunc(parts, func(a, b *part) int { return cmp.Compare(a.rank, b.rank) })
	var errs []error
	for _, p := range parts {
		p.cancel()
		select {
		case <-p.done:
			errs = append(errs, p.err)
			g.log.Debug("stopped", "part", p.name)
		case <-time.After(stopTimeout):
			errs = append(errs, fmt.Errorf("the %s did not stop within %s", p.name, stopTimeout))
		}
	}
	return errors.Join(errs...)
}
