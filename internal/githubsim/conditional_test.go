package githubsim_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pghub/pghub/internal/githubsim"
)

func TestConditionalRequests(t *testing.T) {
	t.Parallel()
	c, k := box(t)
	const path = "/repos/octavia/box/issues/1"
	first := c.do(200, "GET", path, nil)
	etag := first.header.Get("ETag")
	if !strings.HasPrefix(etag, `W/"`) {
		t.Fatalf("ETag %q", etag)
	}
	remaining := first.header.Get("X-RateLimit-Remaining")
	again := c.do(304, "GET", path, nil, "If-None-Match", etag)
	if len(again.body) != 0 || again.header.Get("X-RateLimit-Remaining") != remaining {
		t.Errorf("a 304 has %d bytes and leaves %s of %s requests", len(again.body), again.header.Get("X-RateLimit-Remaining"), remaining)
	}
	c.do(304, "GET", path, nil, "If-Modified-Since", first.header.Get("Last-Modified"))
	other, err := c.sim.AddUser("octavia", nil)
	if err != nil {
		t.Fatal(err)
	}
	c.as(other).do(200, "GET", path, nil, "If-None-Match", etag) // ETags change with the token
	k.advance(time.Minute)
	c.do(200, "PATCH", path, map[string]any{"title": "two"})
	c.do(200, "GET", path, nil, "If-None-Match", etag)
}

func TestPrimaryLimit(t *testing.T) {
	t.Parallel()
	k := newClock()
	c := newClient(t, githubsim.Config{PrimaryLimit: 3, Now: k.now})
	for left := 2; left >= 0; left-- {
		r := c.do(200, "GET", "/user", nil)
		if got := r.header.Get("X-RateLimit-Remaining"); got != strconv.Itoa(left) {
			t.Errorf("remaining %s, want %d", got, left)
		}
	}
	r := c.do(403, "GET", "/user", nil)
	if r.header.Get("X-RateLimit-Remaining") != "0" || !strings.Contains(string(r.body), "API rate limit exceeded for user ID") {
		t.Errorf("refusal: %v %s", r.header, r.body)
	}
	reset, err := strconv.ParseInt(r.header.Get("X-RateLimit-Reset"), 10, 64)
	if err != nil || reset <= k.now().Unix() || reset > k.now().Unix()+3600 {
		t.Errorf("reset %d, now %d (%v)", reset, k.now().Unix(), err)
	}
	rate := c.do(200, "GET", "/rate_limit", nil).object(t)["rate"].(map[string]any)
	if rate["remaining"] != 0.0 {
		t.Errorf("GET /rate_limit is not free, or wrong: %v", rate)
	}
	k.advance(time.Duration(reset-k.now().Unix()) * time.Second)
	c.do(200, "GET", "/user", nil)

	c.sim.SetRemaining("octavia", "core", 0)
	c.do(403, "GET", "/user", nil)
	c.sim.SetRemaining("octavia", "graphql", 0)
	g := c.do(200, "POST", "/graphql", map[string]any{"query": "{ viewer { login } }"})
	if !strings.Contains(string(g.body), `"RATE_LIMITED"`) {
		t.Errorf("GraphQL when limited: %s", g.body)
	}
}

func TestSecondaryLimits(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		limits  githubsim.SecondaryLimits
		status  int
		header  bool
		allowed int
	}{
		"GitHub's":       {githubsim.GitHubSecondaryLimits(), 403, true, 80},
		"without header": {githubsim.SecondaryLimits{ContentPerMinute: 3, Bare: true}, 403, false, 3},
		"429":            {githubsim.SecondaryLimits{ContentPerMinute: 3, Status: 429}, 429, true, 3},
		"per hour":       {githubsim.SecondaryLimits{ContentPerHour: 5}, 403, true, 5},
		"points":         {githubsim.SecondaryLimits{PointsPerMinute: 20}, 403, true, 4},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, k := box(t)
			c.sim.SetSecondaryLimits(tc.limits)
			issue := map[string]any{"title": "again"}
			for range tc.allowed {
				c.do(201, "POST", "/repos/octavia/box/issues", issue)
			}
			r := c.do(tc.status, "POST", "/repos/octavia/box/issues", issue)
			if !strings.Contains(string(r.body), "secondary rate limit") || r.header.Get("X-RateLimit-Remaining") == "0" {
				t.Errorf("refusal: %v %s", r.header, r.body)
			}
			if has := r.header.Get("Retry-After") != ""; has != tc.header {
				t.Errorf("Retry-After is %q", r.header.Get("Retry-After"))
			}
			k.advance(time.Hour)
			c.do(201, "POST", "/repos/octavia/box/issues", issue)
		})
	}
}
