package githubsim_test

import (
	"sync/atomic"
	"time"
)

// clock is a clock that only moves when told to.
type clock struct{ unix atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.unix.Store(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Unix())
	return c
}

func (c *clock) now() time.Time { return time.Unix(c.unix.Load(), 0).UTC() }

func (c *clock) advance(d time.Duration) { c.unix.Add(int64(d / time.Second)) }
