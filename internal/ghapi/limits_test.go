package ghapi

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const secondaryBody = `{"message":"You have exceeded a secondary rate limit. Please wait a few minutes before you try again.","documentation_url":"https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api#about-secondary-rate-limits"}`

func TestClassify403(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		code   int
		body   string
		header []string
		class  Class
		wait   time.Duration // about, for limits
	}{
		{"permission", 403, `{"message":"Resource not accessible by personal access token"}`, []string{"X-Accepted-GitHub-Permissions", "issues=write", "X-RateLimit-Remaining", "7"}, ClassPermission, 0},
		{"permission with the last request of the hour", 403, `{"message":"Must have admin rights to Repository."}`, []string{"X-RateLimit-Remaining", "0", "X-RateLimit-Reset", in(600)}, ClassPermission, 0},
		{"primary", 403, `{"message":"API rate limit exceeded for user ID 1."}`, []string{"X-RateLimit-Limit", "5000", "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", in(600)}, ClassLimited, 600 * time.Second},
		{"primary as 429", 429, `{"message":"API rate limit exceeded"}`, []string{"X-RateLimit-Remaining", "0", "X-RateLimit-Reset", in(600)}, ClassLimited, 600 * time.Second},
		{"retry-after goes first", 403, `{"message":"x"}`, []string{"Retry-After", "120", "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", in(600)}, ClassLimited, 120 * time.Second},
		{"body only", 403, secondaryBody, nil, ClassLimited, time.Minute},
		{"body only, limit left", 403, secondaryBody, []string{"X-RateLimit-Remaining", "4000", "X-RateLimit-Reset", in(600)}, ClassLimited, time.Minute},
		{"429 without anything", 429, ``, nil, ClassLimited, time.Minute},
	}
	for _, test := range tests {
		for _, method := range []string{"GET", "PATCH"} {
			t.Run(test.name+" "+method, func(t *testing.T) {
				t.Parallel()
				s := newScript(t, status(test.code, test.body, test.header...))
				c := newClient(t, s.URL)
				_, err := c.Do(t.Context(), Request{Method: method, Path: "repos/o/r/issues/1"})
				e, ok := errors.AsType[*Error](err)
				if !ok || e.Class != test.class {
					t.Fatalf("class %v, want %v: %v", ClassOf(err), test.class, err)
				}
				if test.name == "permission" && e.AcceptedPermissions != "issues=write" {
					t.Errorf("permissions %q", e.AcceptedPermissions)
				}
				if test.class != ClassLimited {
					return
				}
				if wait := time.Until(e.RetryAt); (wait - test.wait).Abs() > 30*time.Second {
					t.Errorf("retry in %v, want about %v", wait, test.wait)
				}
				// The next request is refused at once, without being sent.
				_, err = c.Do(t.Context(), Request{Method: method, Path: "repos/o/r/issues/1"})
				if again, _ := errors.AsType[*Error](err); ClassOf(err) != ClassLimited || !again.RetryAt.Equal(e.RetryAt) {
					t.Errorf("the second request: %v", err)
				}
				if n := len(s.requests()); n != 1 {
					t.Errorf("%d requests were sent", n)
				}
			})
		}
	}
}

func TestShortLimitIsWaitedFor(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"GET", "POST"} {
		s := newScript(t, status(403, secondaryBody, "Retry-After", "0"), status(429, "", "Retry-After", "1"), status(200, "{}"))
		c := newClient(t, s.URL, func(cfg *Config) { cfg.MaxWait = 20 * time.Second })
		if _, err := c.Do(t.Context(), Request{Method: method, Path: "x"}); err != nil {
			t.Errorf("%s: %v", method, err)
		}
		if n := len(s.requests()); n != 3 {
			t.Errorf("%s: %d requests, want 3", method, n)
		}
	}
	// No end of them does not loop.
	var steps []http.HandlerFunc
	for range 20 {
		steps = append(steps, status(429, "", "Retry-After", "0"))
	}
	s := newScript(t, steps...)
	c := newClient(t, s.URL)
	if _, err := c.Get(t.Context(), "x", nil); ClassOf(err) != ClassLimited || len(s.requests()) != maxLimited {
		t.Errorf("%v after %d requests", err, len(s.requests()))
	}
}

func TestCancelWhileLimited(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	s := newScript(t, func(w http.ResponseWriter, r *http.Request) {
		status(429, "", "Retry-After", "50")(w, r)
		// The client may still be reading: whether it has begun to wait or
		// not, it must end.
		cancel()
	})
	c := newClient(t, s.URL, func(cfg *Config) { cfg.MaxWait = time.Minute })
	if _, err := c.Do(ctx, Request{Method: "POST", Path: "x"}); ClassOf(err) != ClassCanceled {
		t.Errorf("class %v: %v", ClassOf(err), err)
	}
}

func TestReadsLeaveAShareToWrites(t *testing.T) {
	t.Parallel()
	header := func(remaining string) []string {
		return []string{"X-RateLimit-Limit", "100", "X-RateLimit-Remaining", remaining, "X-RateLimit-Reset", in(900), "X-RateLimit-Resource", "core"}
	}
	s := newScript(t, status(200, "{}", header("21")...), status(200, "{}", header("20")...),
		status(200, "{}", header("19")...), status(200, "{}", header("0")...), status(200, `{"data":{}}`))
	c := newClient(t, s.URL)
	for range 2 {
		if _, err := c.Get(t.Context(), "x", nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Get(t.Context(), "x", nil); ClassOf(err) != ClassLimited {
		t.Fatalf("a read went below the share of writes: %v", err)
	}
	if got := c.Limits(); len(got) != 1 || got[0].Resource != "core" || got[0].Limit != 100 || got[0].Remaining != 20 || !got[0].WaitingUntil.Equal(got[0].Reset) {
		t.Errorf("limits %+v", got)
	}
	if _, err := c.Do(t.Context(), Request{Path: "x", Priority: Write}); err != nil {
		t.Errorf("a read for a write: %v", err)
	}
	if _, err := c.Do(t.Context(), Request{Method: "PATCH", Path: "x"}); err != nil {
		t.Errorf("a write: %v", err)
	}
	if _, err := c.Do(t.Context(), Request{Method: "PATCH", Path: "x"}); ClassOf(err) != ClassLimited {
		t.Errorf("a write with nothing left: %v", err)
	}
	// GraphQL has a limit of its own.
	if _, err := c.GraphQL(t.Context(), "query{viewer{login}}", nil, nil, Read); err != nil {
		t.Errorf("GraphQL: %v", err)
	}
}

func TestObserveKeepsTheLowestCount(t *testing.T) {
	t.Parallel()
	now := time.Now()
	h := func(remaining, reset string) http.Header {
		return http.Header{"X-Ratelimit-Limit": {"5000"}, "X-Ratelimit-Remaining": {remaining}, "X-Ratelimit-Reset": {reset}}
	}
	var l limits
	l.observe(h("10", in(100)), "core", now)
	l.observe(h("12", in(101)), "core", now) // late answer of an earlier request
	if got := l.primary["core"].remaining; got != 10 {
		t.Errorf("remaining %d, want 10", got)
	}
	l.observe(h("4999", in(3700)), "core", now) // the next window
	if got := l.primary["core"].remaining; got != 4999 {
		t.Errorf("remaining %d, want 4999", got)
	}
	l.observe(h("1", in(100)), "core", now) // straggler of the window before
	if got := l.primary["core"].remaining; got != 4999 {
		t.Errorf("remaining %d, want 4999", got)
	}
}

func TestSecondaryLimitDoubles(t *testing.T) {
	t.Parallel()
	now := time.Now()
	var l limits
	for _, want := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute} {
		if got := l.hit(http.Header{}, "core", now).Sub(now); got != want {
			t.Errorf("wait %v, want %v", got, want)
		}
	}
	for range 100 {
		l.hit(http.Header{}, "core", now)
	}
	if got := l.blocked.Sub(now); got > maxBlock {
		t.Errorf("wait grew to %v", got)
	}
	l.succeeded()
	later := now.Add(2 * time.Hour)
	if got := l.hit(http.Header{}, "core", later).Sub(later); got != time.Minute {
		t.Errorf("after a success the wait is %v", got)
	}
}

func TestWrongLocalClock(t *testing.T) {
	t.Parallel()
	now := time.Now()
	theirs := now.Add(-3 * time.Hour)
	h := http.Header{"Date": {theirs.UTC().Format(http.TimeFormat)}}
	if got := localTime(theirs.Add(time.Minute), h, now).Sub(now); (got - time.Minute).Abs() > 2*time.Second {
		t.Errorf("a minute of theirs became %v", got)
	}
	h.Set("Retry-After", theirs.Add(time.Minute).UTC().Format(http.TimeFormat))
	if got, ok := retryAfter(h, now); !ok || (got-time.Minute).Abs() > 3*time.Second {
		t.Errorf("a date in Retry-After became %v", got)
	}
}

func TestMutationsOneAtATime(t *testing.T) {
	t.Parallel()
	var now, most atomic.Int32
	step := func(w http.ResponseWriter, r *http.Request) {
		n := now.Add(1)
		defer now.Add(-1)
		for {
			old := most.Load()
			if n <= old || most.CompareAndSwap(old, n) {
				break
			}
		}
		runtime.Gosched()
		status(200, "{}")(w, r)
	}
	var steps []http.HandlerFunc
	for range 10 {
		steps = append(steps, step)
	}
	s := newScript(t, steps...)
	const interval = 10 * time.Millisecond
	c := newClient(t, s.URL, func(cfg *Config) { cfg.WriteInterval = interval })
	began := time.Now()
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			if _, err := c.Do(t.Context(), Request{Method: "POST", Path: "x"}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if most.Load() != 1 {
		t.Errorf("%d mutations at once", most.Load())
	}
	if took := time.Since(began); took < 9*interval {
		t.Errorf("10 mutations took %v, less than 9 intervals", took)
	}
}

func TestWritesDoNotWaitForReads(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	arrived := make(chan struct{}, 2)
	slow := func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-release
		status(200, "{}")(w, r)
	}
	s := newScript(t, slow, slow, status(200, "{}"), status(200, "{}"), status(200, "{}"))
	c := newClient(t, s.URL, func(cfg *Config) { cfg.MaxConcurrentReads = 2 })
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if _, err := c.Get(t.Context(), "x", nil); err != nil {
				t.Error(err)
			}
		})
	}
	<-arrived
	<-arrived
	if _, err := c.Do(t.Context(), Request{Method: "POST", Path: "x"}); err != nil {
		t.Error(err)
	}
	if _, err := c.Do(t.Context(), Request{Path: "x", Priority: Write}); err != nil {
		t.Error(err)
	}
	if n := len(s.requests()); n != 4 {
		t.Errorf("%d requests while the reads hang; the third read must wait", n)
	}
	close(release)
	wg.Wait()
}

func TestBucket(t *testing.T) {
	t.Parallel()
	now := time.Now()
	b := bucket{size: 300, level: 300, rate: 10, kept: 60}
	var total time.Duration
	for range 240 {
		total += b.take(1, false, now)
	}
	if total != 0 {
		t.Errorf("the first 240 reads waited %v", total)
	}
	if got := b.take(1, false, now); got != 100*time.Millisecond {
		t.Errorf("the next waits %v, want 100ms", got)
	}
	if got := b.take(5, true, now); got != 0 {
		t.Errorf("a write waits %v", got)
	}
	if b.take(1, false, now.Add(time.Hour)) != 0 || b.level > 300 {
		t.Errorf("level %v after an hour", b.level)
	}
	var none bucket
	if none.take(1e9, false, now) != 0 {
		t.Error("the zero bucket makes one wait")
	}
}
