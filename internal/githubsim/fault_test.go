package githubsim_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pghub/pghub/internal/githubsim"
)

func TestFaults(t *testing.T) {
	t.Parallel()
	const issues = "/repos/octavia/box/issues"
	for name, tc := range map[string]struct {
		fault   githubsim.Fault
		status  int  // of the answer; 0 = no answer
		applied bool // whether the issue exists afterwards
	}{
		"status":               {githubsim.Fault{Status: 502, Body: "<html>"}, 502, false},
		"status after it":      {githubsim.Fault{Status: 504, Apply: true}, 504, true},
		"cut before":           {githubsim.Fault{Cut: githubsim.CutBefore}, 0, false},
		"cut after":            {githubsim.Fault{Cut: githubsim.CutAfter}, 0, true},
		"cut during":           {githubsim.Fault{Cut: githubsim.CutDuring}, 0, true},
		"short delay":          {githubsim.Fault{Delay: time.Millisecond}, 201, true},
		"other method":         {githubsim.Fault{Method: "PATCH", Status: 500}, 201, true},
		"other path":           {githubsim.Fault{Path: "/repos/*/*/labels", Status: 500}, 201, true},
		"other query":          {githubsim.Fault{Query: "page=2", Status: 500}, 201, true},
		"this method and path": {githubsim.Fault{Method: "post", Path: "/repos/*/*/issues", Status: 403, Body: `{"message":"Forbidden"}`}, 403, false},
		"not yet":              {githubsim.Fault{Skip: 1, Status: 500}, 201, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := empty(t)
			tc.fault.Count = 1
			id := c.sim.AddFault(tc.fault)
			r, err := c.try("POST", issues, map[string]any{"title": "one"})
			if tc.status == 0 {
				if err == nil {
					t.Errorf("answered %d", r.status)
				}
			} else if err != nil || r.status != tc.status || r.status == 502 && string(r.body) != "<html>" {
				t.Errorf("answer %+v, error %v; want status %d", r, err, tc.status)
			}
			_, err = c.sim.Issue("octavia/box", 1)
			if applied := err == nil; applied != tc.applied {
				t.Errorf("applied: %v, want %v", applied, tc.applied)
			}
			log := c.sim.Requests()
			if len(log) != 1 || string(log[0].Body) != `{"title":"one"}` {
				t.Errorf("log %+v", log)
			}
			c.sim.RemoveFault(id)
			c.do(201, "POST", issues, map[string]any{"title": "two"})
		})
	}
}

func TestFaultCount(t *testing.T) {
	t.Parallel()
	c := empty(t)
	c.sim.AddFault(githubsim.Fault{Method: "GET", Path: "/repos/**", Skip: 1, Count: 2, Status: 503, Header: map[string]string{"Retry-After": "1"}})
	for k, want := range []int{200, 503, 503, 200} {
		r := c.do(want, "GET", "/repos/octavia/box", nil)
		if has := r.header.Get("Retry-After") != ""; has != (want == 503) {
			t.Errorf("request %d: Retry-After %q", k, r.header.Get("Retry-After"))
		}
	}
	if hits := c.sim.Faults()[0].Hits; hits != 2 {
		t.Errorf("%d hits", hits)
	}
}

// A client that gives up during a delay leaves nothing behind when the delay
// comes before the request is applied, and a change when it comes after.
func TestDelayAndImpatientClient(t *testing.T) {
	t.Parallel()
	for _, late := range []bool{false, true} {
		c := empty(t)
		c.sim.AddFault(githubsim.Fault{Delay: time.Hour, Apply: late, Count: 1})
		ctx, cancel := context.WithCancel(t.Context())
		req, err := http.NewRequestWithContext(ctx, "POST", c.sim.URL+"/repos/octavia/box/issues", strings.NewReader(`{"title":"x"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+c.token)
		failed := make(chan error, 1)
		go func() {
			resp, err := noRedirects.Do(req)
			if err == nil {
				resp.Body.Close()
			}
			failed <- err
		}()
		eventually(t, "the request to arrive", func() bool {
			if late {
				_, err := c.sim.Issue("octavia/box", 1)
				return err == nil
			}
			return len(c.sim.Requests()) == 1
		})
		cancel()
		if err := <-failed; err == nil {
			t.Error("the client got an answer")
		}
		if _, err := c.sim.Issue("octavia/box", 1); (err == nil) != late {
			t.Errorf("delay after applying: %v; the issue: %v", late, err)
		}
	}
}

// eventually waits for a condition, bounded.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("gave up waiting for %s", what)
		}
	}
}

func TestControlPaths(t *testing.T) {
	t.Parallel()
	c, _ := box(t)
	c.sim.ResetRequests()
	id := c.do(200, "POST", "/_sim/faults", map[string]any{"method": "GET", "path": "/user", "status": 500, "count": 1, "delay_ms": 1}).object(t)["id"]
	if id != 1.0 {
		t.Errorf("fault id %v", id)
	}
	c.do(500, "GET", "/user", nil)
	if lines := c.do(200, "GET", "/_sim/faults", nil).list(t); len(lines) != 1 || lines[0]["hits"] != 1.0 || lines[0]["delay_ms"] != 1.0 {
		t.Errorf("faults %v", lines)
	}
	c.do(200, "DELETE", "/_sim/faults/1", nil)
	if lines := c.do(200, "GET", "/_sim/faults", nil).list(t); len(lines) != 0 {
		t.Errorf("faults %v", lines)
	}
	u := c.do(200, "POST", "/_sim/users", map[string]any{"login": "amy", "permissions": map[string]string{"octavia/box": "push"}}).object(t)
	c.as(u["token"].(string)).do(200, "PATCH", "/repos/octavia/box/issues/1", map[string]any{"labels": []string{"bug", "question"}})
	log := c.do(200, "GET", "/_sim/requests?method=PATCH&path=/repos/**", nil).object(t)
	if log["count"] != 1.0 || log["requests"].([]any)[0].(map[string]any)["login"] != "amy" {
		t.Errorf("requests %v", log)
	}
	c.do(200, "POST", "/_sim/limits", map[string]any{"login": "amy", "resource": "core", "remaining": 0})
	c.as(u["token"].(string)).do(403, "GET", "/user", nil)
	c.do(200, "POST", "/_sim/limits", map[string]any{"secondary": map[string]any{"content_per_minute": 1, "status": 429}})
	c.do(201, "POST", "/repos/octavia/box/issues", map[string]any{"title": "two"})
	c.do(429, "POST", "/repos/octavia/box/issues", map[string]any{"title": "three"})
	c.do(200, "POST", "/_sim/rename", map[string]any{"repository": "octavia/box", "to": "octavia/crate"})
	c.do(301, "GET", "/repos/octavia/box", nil)
	c.do(200, "POST", "/_sim/settings", map[string]any{"repository": "octavia/crate", "archived": true})
	c.do(200, "DELETE", "/_sim/requests", nil)
	for path, status := range map[string]int{"/_sim/nonsense": 404, "/_sim/rename": 400, "/_sim/users": 400, "/_sim/limits": 400, "/_sim/transfer": 400} {
		c.do(status, "POST", path, map[string]any{})
	}
	c.do(400, "POST", "/_sim/faults", map[string]any{"cut": "somewhere"})
	if n := c.sim.CountRequests("", ""); n != 0 {
		t.Errorf("control requests are in the log: %d", n)
	}
}
