package ghapi

import (
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// maxBlock bounds what a limit header can make the client wait: GitHub's
// primary limits reset within the hour.
const maxBlock = 65 * time.Minute

// firstSecondaryWait is GitHub's advice for a secondary limit that comes
// without headers: at least a minute, then longer each time.
// https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#handle-rate-limit-errors-appropriately
const firstSecondaryWait = time.Minute

// Limit is what GitHub last said about one of its limits.
type Limit struct {
	Resource  string    // "core", "graphql", "search", ...
	Limit     int       // requests (GraphQL: points) per hour
	Remaining int       // of those, left until Reset
	Reset     time.Time // on this machine's clock
	// WaitingUntil is when requests of Priority Read go out again; zero when
	// nothing waits. All requests wait while a secondary limit holds.
	WaitingUntil time.Time
}

// limits is what the client knows about GitHub's limits. Its zero value is
// ready and lets everything through.
type limits struct {
	readShare float64

	mu      sync.Mutex
	primary map[string]*primaryLimit
	// blocked holds all requests back after a secondary limit.
	blocked time.Time
	// strikes counts secondary limits without headers since the last success.
	strikes int
}

type primaryLimit struct {
	limit, remaining int
	reset            time.Time
}

// wait returns until when a request must wait, zero for not at all.
func (l *limits) wait(resource string, p Priority, now time.Time) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	until := l.blocked
	if r := l.primary[resource]; r != nil && r.exhausted(p, l.readShare) && r.reset.After(until) {
		until = r.reset
	}
	if !until.After(now) {
		return time.Time{}
	}
	return until
}

func (r *primaryLimit) exhausted(p Priority, readShare float64) bool {
	if p == Write {
		return r.remaining <= 0
	}
	kept := int(math.Round(float64(r.limit) * (1 - readShare)))
	return r.remaining <= kept
}

// observe notes the limit headers of an answer. asked is the resource that the
// request was thought to count against.
func (l *limits) observe(h http.Header, asked string, now time.Time) {
	limit, err1 := strconv.Atoi(h.Get("X-RateLimit-Limit"))
	remaining, err2 := strconv.Atoi(h.Get("X-RateLimit-Remaining"))
	reset, err3 := strconv.ParseInt(h.Get("X-RateLimit-Reset"), 10, 64)
	if err1 != nil || err2 != nil || err3 != nil || limit <= 0 {
		return
	}
	resource := h.Get("X-RateLimit-Resource")
	if resource == "" {
		resource = asked
	}
	at := localTime(time.Unix(reset, 0), h, now)

	l.mu.Lock()
	defer l.mu.Unlock()
	if l.primary == nil {
		l.primary = make(map[string]*primaryLimit)
	}
	known := l.primary[resource]
	switch {
	// Answers may arrive out of order: within one hour's window the count
	// only falls. Two seconds allow for a reset that GitHub rounds differently.
	case known != nil && known.reset.After(now) && at.Sub(known.reset).Abs() <= 2*time.Second:
		known.limit = limit
		known.remaining = min(known.remaining, remaining)
	case known == nil || at.After(known.reset):
		l.primary[resource] = &primaryLimit{limit: limit, remaining: remaining, reset: at}
	}
}

// hit notes that GitHub refused a request because of a limit, and returns when
// the next may be sent. GitHub's order: retry-after, else the reset time if
// nothing remains, else a minute, doubled each time.
func (l *limits) hit(h http.Header, asked string, now time.Time) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if after, ok := retryAfter(h, now); ok {
		l.block(now.Add(min(after, maxBlock)))
		return l.blocked
	}
	reset, err := strconv.ParseInt(h.Get("X-RateLimit-Reset"), 10, 64)
	if h.Get("X-RateLimit-Remaining") == "0" && err == nil {
		at := localTime(time.Unix(reset, 0), h, now)
		// A reset that has just passed, by a clock that differs from ours,
		// must not become a loop of requests.
		at = clampTime(at, now.Add(time.Second), now.Add(maxBlock))
		resource := h.Get("X-RateLimit-Resource")
		if resource == "" {
			resource = asked
		}
		if l.primary == nil {
			l.primary = make(map[string]*primaryLimit)
		}
		limit, _ := strconv.Atoi(h.Get("X-RateLimit-Limit"))
		l.primary[resource] = &primaryLimit{limit: limit, remaining: 0, reset: at}
		return at
	}
	wait := firstSecondaryWait << min(l.strikes, 6)
	l.strikes++
	l.block(now.Add(min(wait, maxBlock)))
	return l.blocked
}

func (l *limits) block(until time.Time) {
	if until.After(l.blocked) {
		l.blocked = until
	}
}

// succeeded forgets how often the secondary limit was met in a row.
func (l *limits) succeeded() {
	l.mu.Lock()
	l.strikes = 0
	l.mu.Unlock()
}

// Limits returns what GitHub last said about each limit, by resource name,
// leaving out those whose reset has passed. A secondary limit without any
// primary one known shows as resource "secondary".
func (c *Client) Limits() []Limit {
	now := time.Now()
	l := &c.limits
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []Limit
	for name, r := range l.primary {
		if !r.reset.After(now) {
			continue
		}
		v := Limit{Resource: name, Limit: r.limit, Remaining: r.remaining, Reset: r.reset}
		if r.exhausted(Read, l.readShare) {
			v.WaitingUntil = r.reset
		}
		if l.blocked.After(now) && l.blocked.After(v.WaitingUntil) {
			v.WaitingUntil = l.blocked
		}
		out = append(out, v)
	}
	if len(out) == 0 && l.blocked.After(now) {
		out = append(out, Limit{Resource: "secondary", WaitingUntil: l.blocked})
	}
	slices.SortFunc(out, func(a, b Limit) int { return strings.Compare(a.Resource, b.Resource) })
	return out
}

// retryAfter reads both forms of the header: seconds, and an HTTP date.
func retryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	value := h.Get("Retry-After")
	if seconds, err := strconv.Atoi(value); err == nil && seconds >= 0 {
		return time.Duration(min(seconds, int(maxBlock/time.Second))) * time.Second, true
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, localTime(at, h, now).Sub(now)), true
	}
	return 0, false
}

// localTime moves a time of GitHub's clock onto this machine's, by the Date
// header, so that a wrong local clock does not turn a short wait into a long
// one. Date has whole seconds: smaller differences are left alone.
func localTime(t time.Time, h http.Header, now time.Time) time.Time {
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return t
	}
	if skew := now.Sub(date); skew.Abs() > 5*time.Second {
		return t.Add(skew)
	}
	return t
}

func clampTime(t, low, high time.Time) time.Time {
	if t.Before(low) {
		return low
	}
	if t.After(high) {
		return high
	}
	return t
}
