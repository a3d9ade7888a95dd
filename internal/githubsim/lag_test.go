package githubsim_test

import (
	"testing"
	"time"

	"github.com/pghub/pghub/internal/githubsim"
)

// Reads just after a write are stale: the former state, or nothing.
func TestReadLag(t *testing.T) {
	t.Parallel()
	k := newClock()
	c := newClient(t, githubsim.Config{Now: k.now, ReadLag: 5 * time.Second})
	if _, err := c.sim.CreateRepository("octavia/box", false); err != nil {
		t.Fatal(err)
	}
	const (
		issue   = "/repos/octavia/box/issues/1"
		updated = "/repos/octavia/box/issues?state=all&sort=updated"
	)
	c.do(201, "POST", "/repos/octavia/box/issues", map[string]any{"title": "one", "labels": []string{"bug"}})
	c.do(404, "GET", issue, nil)
	if rows := c.all(updated); len(rows) != 0 {
		t.Errorf("a new issue is listed at once: %v", rows)
	}
	k.advance(5 * time.Second)
	c.do(200, "GET", issue, nil)

	for _, title := range []string{"two", "three"} { // both within one lag
		if got := c.do(200, "PATCH", issue, map[string]any{"title": title}).object(t)["title"]; got != title {
			t.Errorf("the answer to the write says %v", got)
		}
		k.advance(time.Second)
	}
	if got := c.do(200, "GET", issue, nil).object(t)["title"]; got != "one" {
		t.Errorf("a stale read says %v", got)
	}
	if rows := c.all(updated); len(rows) != 0 {
		t.Errorf("it moved in the list at once: %v", rows)
	}
	k.advance(5 * time.Second)
	if rows := c.all(updated); len(rows) != 1 || rows[0]["title"] != "three" {
		t.Errorf("after the lag the list has %v", rows)
	}
	if got := c.do(200, "GET", issue, nil).object(t)["title"]; got != "three" {
		t.Errorf("after the lag a read says %v", got)
	}
}
