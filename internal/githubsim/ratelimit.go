package githubsim

import (
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Limits of GitHub, per hour.
const (
	defaultPrimaryLimit = 5_000
	graphqlLimit        = 5_000
	anonymousLimit      = 60
)

// SecondaryLimits are the limits that GitHub applies beside the hourly one. A
// zero field switches that limit off.
type SecondaryLimits struct {
	// ContentPerMinute and ContentPerHour bound how many issues and comments a
	// user may create.
	ContentPerMinute int `json:"content_per_minute"`
	ContentPerHour   int `json:"content_per_hour"`
	// PointsPerMinute bounds reads (1 point) and mutations (5 points).
	PointsPerMinute int `json:"points_per_minute"`
	// Bare leaves out Retry-After, as GitHub sometimes does: only the body tells.
	Bare bool `json:"bare"`
	// Status is 403 (also the zero value) or 429.
	Status int `json:"status"`
}

// GitHubSecondaryLimits are the values that GitHub documents.
func GitHubSecondaryLimits() SecondaryLimits {
	return SecondaryLimits{ContentPerMinute: 80, ContentPerHour: 500, PointsPerMinute: 900}
}

// limiter counts what each user has used. Its clock is the requests'.
type limiter struct {
	mu        sync.Mutex
	primary   int
	secondary SecondaryLimits
	windows   map[string]*window // by user id and resource
	content   map[int64][]int64  // times of creations, by user id
	points    map[int64][]int64  // times of points, by user id
}

type window struct {
	limit, used int
	reset       int64
}

func newLimiter(primary int, secondary SecondaryLimits) *limiter {
	return &limiter{
		primary: primary, secondary: secondary,
		windows: map[string]*window{}, content: map[int64][]int64{}, points: map[int64][]int64{},
	}
}

func (l *limiter) window(u *user, resource string, now int64) *window {
	key := resource
	if u != nil {
		key += strconv.FormatInt(u.id, 10)
	}
	w := l.windows[key]
	if w == nil {
		w = &window{limit: l.primary}
		switch {
		case u == nil:
			w.limit = min(anonymousLimit, l.primary)
		case resource == "graphql":
			w.limit = graphqlLimit
		}
		l.windows[key] = w
	}
	if now >= w.reset {
		w.used, w.reset = 0, now+3600
	}
	return w
}

// admit refuses a request of a user whose hour is used up, or who asks too often.
func (l *limiter) admit(c *call, resource, requestID string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if w := l.window(c.user, resource, c.now); w.used >= w.limit {
		return primaryExceeded(c, resource, requestID)
	}
	if c.user == nil || l.secondary.PointsPerMinute == 0 || resource == "graphql" {
		return nil
	}
	cost := 1
	if c.req.Method != http.MethodGet && c.req.Method != http.MethodHead {
		cost = 5
	}
	times := recent(l.points[c.user.id], c.now, 60)
	if len(times)+cost > l.secondary.PointsPerMinute {
		return l.exceeded("You have exceeded a secondary rate limit. Please wait a few minutes before you try again.", times, c.now, 60)
	}
	for range cost {
		times = append(times, c.now)
	}
	l.points[c.user.id] = times
	return nil
}

func primaryExceeded(c *call, resource, requestID string) error {
	who := "127.0.0.1"
	if c.user != nil {
		who = fmt.Sprintf("user ID %d", c.user.id)
	}
	message := fmt.Sprintf("API rate limit exceeded for %s. If you reach out to GitHub Support for help, please include the request ID %s and timestamp %s UTC.",
		who, requestID, time.Unix(c.now, 0).UTC().Format("2006-01-02 15:04:05"))
	if resource == "graphql" {
		return &graphqlError{kind: "RATE_LIMITED", message: message}
	}
	return &apiError{status: http.StatusForbidden, message: message}
}

// admitContent refuses a creation that comes too soon after many others, and
// counts it otherwise.
func (l *limiter) admitContent(c *call) error {
	if c.user == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	times := recent(l.content[c.user.id], c.now, 3600)
	const message = "You have exceeded a secondary rate limit and have been temporarily blocked from content creation. Please retry your request again later."
	if n := l.secondary.ContentPerMinute; n > 0 {
		if last := recent(times, c.now, 60); len(last) >= n {
			return l.exceeded(message, last, c.now, 60)
		}
	}
	if n := l.secondary.ContentPerHour; n > 0 && len(times) >= n {
		return l.exceeded(message, times, c.now, 3600)
	}
	if l.secondary.ContentPerMinute > 0 || l.secondary.ContentPerHour > 0 {
		l.content[c.user.id] = append(times, c.now)
	}
	return nil
}

func (l *limiter) exceeded(message string, times []int64, now, span int64) error {
	e := &apiError{status: l.secondary.Status, message: message}
	if e.status == 0 {
		e.status = http.StatusForbidden
	}
	if !l.secondary.Bare {
		wait := span
		if len(times) > 0 {
			wait = max(times[0]+span-now, 1)
		}
		e.header = map[string]string{"Retry-After": strconv.FormatInt(wait, 10)}
	}
	return e
}

// recent drops the times that lie more than span seconds back.
func recent(times []int64, now, span int64) []int64 {
	for len(times) > 0 && times[0] <= now-span {
		times = times[1:]
	}
	return times
}

// finish counts the request if it costs something and writes the limit headers.
func (l *limiter) finish(c *call, resource string, counted bool, h http.Header) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.window(c.user, resource, c.now)
	if counted && w.used < w.limit {
		w.used++
	}
	h.Set("X-Ratelimit-Limit", strconv.Itoa(w.limit))
	h.Set("X-Ratelimit-Remaining", strconv.Itoa(w.limit-w.used))
	h.Set("X-Ratelimit-Reset", strconv.FormatInt(w.reset, 10))
	h.Set("X-Ratelimit-Used", strconv.Itoa(w.used))
	h.Set("X-Ratelimit-Resource", resource)
}

// SetRemaining sets how many requests a user has left in this hour; resource is
// "core" or "graphql". An unknown login is an error of the test and panics.
func (s *Server) SetRemaining(login, resource string, remaining int) {
	s.store.mu.RLock()
	u := s.store.user(login)
	s.store.mu.RUnlock()
	if u == nil {
		panic("githubsim: no user " + login)
	}
	s.limits.mu.Lock()
	defer s.limits.mu.Unlock()
	w := s.limits.window(u, resource, s.now())
	w.used = w.limit - min(remaining, w.limit)
}

// SetSecondaryLimits replaces the secondary limits and forgets what was counted.
func (s *Server) SetSecondaryLimits(limits SecondaryLimits) {
	s.limits.mu.Lock()
	defer s.limits.mu.Unlock()
	s.limits.secondary = limits
	clear(s.limits.content)
	clear(s.limits.points)
}

// getRateLimit is free.
func (c *call) getRateLimit() error {
	l := c.s.limits
	l.mu.Lock()
	defer l.mu.Unlock()
	e := c.json(http.StatusOK)
	one := func(k string, w *window) {
		e.object(k)
		e.num("limit", int64(w.limit))
		e.num("used", int64(w.used))
		e.num("remaining", int64(w.limit-w.used))
		e.num("reset", w.reset)
		e.close('}')
	}
	core := l.window(c.user, "core", c.now)
	e.open('{')
	e.object("resources")
	one("core", core)
	one("search", &window{limit: 30, reset: c.now + 60})
	one("graphql", l.window(c.user, "graphql", c.now))
	one("integration_manifest", &window{limit: 5000, reset: c.now + 3600})
	e.close('}')
	one("rate", core)
	e.close('}')
	return nil
}
