package ghapi

import (
	"context"
	"sync"
	"time"
)

// mutationPoints is what a mutation costs of the secondary limit; a read costs one.
const mutationPoints = 5

// pace spreads requests: mutations one at a time and an interval apart, reads
// a few at a time, and all of them within the points per minute.
type pace struct {
	interval time.Duration
	mutation chan struct{} // holds one token while a mutation is under way
	reads    chan struct{}

	mu        sync.Mutex
	lastWrite time.Time // start of the latest mutation
	points    bucket
}

func (p *pace) init(cfg Config) {
	p.interval = cfg.WriteInterval
	p.mutation = make(chan struct{}, 1)
	p.reads = make(chan struct{}, cfg.MaxConcurrentReads)
	if cfg.PointsPerMinute > 0 {
		// A third at once and two thirds spread over the minute: no window
		// of a minute sees more than the whole.
		p.points = bucket{
			size:  float64(cfg.PointsPerMinute) / 3,
			level: float64(cfg.PointsPerMinute) / 3,
			rate:  float64(cfg.PointsPerMinute) * 2 / 3 / 60,
			kept:  float64(cfg.PointsPerMinute) / 3 * (1 - cfg.ReadShare),
		}
	}
}

// enter waits until the request may be sent as far as pacing goes. The caller
// must call leave when the exchange is over, if the error is nil.
func (p *pace) enter(ctx context.Context, r *Request) (leave func(), err error) {
	lane := p.reads
	switch {
	case r.mutation():
		lane = p.mutation
	case r.Priority == Write:
		lane = nil
	}
	if lane != nil {
		select {
		case lane <- struct{}{}:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	leave = func() {
		if lane != nil {
			<-lane
		}
	}
	if wait := p.reserve(r, time.Now()); wait > 0 {
		if err := sleep(ctx, wait); err != nil {
			leave()
			return nil, err
		}
	}
	if r.mutation() {
		p.mu.Lock()
		p.lastWrite = time.Now()
		p.mu.Unlock()
	}
	return leave, nil
}

// reserve takes the request's points and returns how long it has to wait.
func (p *pace) reserve(r *Request, now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	var wait time.Duration
	if !r.free() {
		cost := 1.0
		if r.mutation() {
			cost = mutationPoints
		}
		wait = p.points.take(cost, r.Priority == Write || r.mutation(), now)
	}
	if r.mutation() && !p.lastWrite.IsZero() {
		wait = max(wait, p.lastWrite.Add(p.interval).Sub(now))
	}
	return wait
}

// bucket is a token bucket whose level may go below zero: a taker then waits
// until it would have been full enough. The zero value never makes one wait.
type bucket struct {
	size, level, rate float64 // points, points, points per second
	kept              float64 // points that only writes may use
	at                time.Time
}

func (b *bucket) take(cost float64, write bool, now time.Time) time.Duration {
	if b.rate <= 0 {
		return 0
	}
	if !b.at.IsZero() {
		b.level = min(b.size, b.level+now.Sub(b.at).Seconds()*b.rate)
	}
	b.at = now
	b.level -= cost
	floor := b.kept
	if write {
		// Reads never take the level below what is kept, so a write finds
		// room unless writes alone have used it up.
		floor = 0
	}
	if b.level >= floor {
		return 0
	}
	return time.Duration((floor - b.level) / b.rate * float64(time.Second))
}

// sleep waits for d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
