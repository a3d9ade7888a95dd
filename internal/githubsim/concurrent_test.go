package githubsim_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/pghub/pghub/internal/githubsim"
)

// Readers and writers at once: nothing is lost, and every order holds every row.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	c := newClient(t, githubsim.Config{Seed: 3, Repos: 1, Issues: 60})
	r := newReceiver(t)
	c.sim.SetWebhook(r.url, hookSecret)
	before, err := c.sim.Repository("orbital-labs/rocket")
	if err != nil {
		t.Fatal(err)
	}
	const writers, each = 4, 15
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for k := range each {
				got, err := c.try("POST", seeded+"/issues", map[string]any{"title": fmt.Sprintf("%d/%d", w, k), "labels": []string{"bug", fmt.Sprint("writer ", w)}})
				if err != nil || got.status != 201 {
					t.Errorf("create: %v %+v", err, got)
					return
				}
				path := got.object(t)["url"].(string)
				for _, body := range []map[string]any{{"state": "closed"}, {"title": "changed", "milestone": 2}} {
					if got, err := c.try("PATCH", path, body); err != nil || got.status != 200 {
						t.Errorf("update: %v %+v", err, got)
					}
				}
				if got, err := c.try("POST", path+"/comments", map[string]any{"body": "x"}); err != nil || got.status != 201 {
					t.Errorf("comment: %v %+v", err, got)
				}
			}
		})
		wg.Go(func() {
			for range each {
				for _, query := range []string{"sort=updated&direction=asc", "sort=comments", "state=closed&labels=bug"} {
					if got, err := c.try("GET", seeded+"/issues?per_page=100&"+query, nil); err != nil || got.status != 200 {
						t.Errorf("list: %v %+v", err, got)
					}
				}
			}
		})
	}
	wg.Wait()
	want := before.Issues + before.PullRequests + writers*each
	for _, order := range []string{"created", "updated", "comments"} {
		if rows := c.all(seeded + "/issues?state=all&per_page=100&sort=" + order); len(rows) != want {
			t.Errorf("by %s there are %d rows, want %d", order, len(rows), want)
		}
	}
	after, err := c.sim.Repository("orbital-labs/rocket")
	if err != nil {
		t.Fatal(err)
	}
	if after.OpenIssuesCount != before.OpenIssuesCount || after.Comments != before.Comments+writers*each {
		t.Errorf("before %+v, after %+v", before, after)
	}
}

// Serve ends with its context and leaves no goroutine.
func TestServeStops(t *testing.T) {
	base := goleak.IgnoreCurrent()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := githubsim.New(githubsim.Config{Seed: 1, WebhookURL: "http://127.0.0.1:1/", WebhookSecret: "x"})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	tr := &http.Transport{}
	req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+l.Addr().String()+"/rate_limit", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: tr}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if want := "http://" + l.Addr().String(); s.BaseURL() != want {
		t.Errorf("base %q, want %q", s.BaseURL(), want)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Serve: %v", err)
	}
	tr.CloseIdleConnections()
	goleak.VerifyNone(t, base)
}
