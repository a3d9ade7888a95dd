package githubsim_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pghub/pghub/internal/contract"
	"github.com/pghub/pghub/internal/githubsim"
)

// receiver collects webhooks and checks each signature.
type receiver struct {
	t      testing.TB
	status int
	url    string
	mu     sync.Mutex
	got    []hook
}

type hook struct {
	id, name string // name is event.action
	payload  map[string]any
}

const hookSecret = "It's a Secret to Everybody"

func newReceiver(t testing.TB) *receiver {
	r := &receiver{t: t, status: http.StatusAccepted}
	srv := httptest.NewServer(r)
	t.Cleanup(srv.Close)
	r.url = srv.URL
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // the test is over and the simulator hung up
	}
	if got := req.Header.Get("X-Hub-Signature-256"); got != githubsim.Signature(hookSecret, body) {
		r.t.Errorf("signature %q", got)
	}
	contract.Delivery(r.t, req.Header, body)
	var payload map[string]any
	if err := json.Unmarshal(body, &payload); err != nil {
		r.t.Errorf("payload: %v", err)
	}
	action, _ := payload["action"].(string)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, hook{req.Header.Get("X-GitHub-Delivery"), req.Header.Get("X-GitHub-Event") + "." + action, payload})
	w.WriteHeader(r.status)
}

func (r *receiver) hooks() []hook {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

func (r *receiver) names() []string {
	names := []string{}
	for _, h := range r.hooks() {
		names = append(names, h.name)
	}
	return names
}

func TestWebhooks(t *testing.T) {
	t.Parallel()
	const issue = "/repos/octavia/box/issues/1"
	type m = map[string]any
	for name, tc := range map[string]struct {
		method, path string
		body         any
		want         []string
	}{
		"open":         {"POST", "/repos/octavia/box/issues", m{"title": "two", "labels": []string{"new"}, "assignees": []string{"octavia"}, "milestone": 1}, []string{"label.created", "issues.opened", "issues.labeled", "issues.assigned", "issues.milestoned"}},
		"edit":         {"PATCH", issue, m{"title": "two", "body": "b"}, []string{"issues.edited"}},
		"close":        {"PATCH", issue, m{"state": "closed"}, []string{"issues.closed"}},
		"everything":   {"PATCH", issue, m{"title": "two", "state": "closed", "labels": []string{"question"}, "milestone": 1}, []string{"issues.edited", "issues.closed", "issues.labeled", "issues.unlabeled", "issues.milestoned"}},
		"nothing":      {"PATCH", issue, m{"title": "one"}, nil},
		"lock":         {"PUT", issue + "/lock", nil, []string{"issues.locked"}},
		"comment":      {"POST", issue + "/comments", m{"body": "hi"}, []string{"issue_comment.created"}},
		"label":        {"PATCH", "/repos/octavia/box/labels/bug", m{"new_name": "defect"}, []string{"label.edited"}},
		"delete label": {"DELETE", "/repos/octavia/box/labels/bug", nil, []string{"label.deleted"}},
		"milestone":    {"PATCH", "/repos/octavia/box/milestones/1", m{"title": "v2", "state": "closed"}, []string{"milestone.edited", "milestone.closed"}},
		"refused":      {"PATCH", issue, m{"title": ""}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _ := box(t)
			if _, err := c.sim.CreateMilestone("octavia/box", "v1"); err != nil {
				t.Fatal(err)
			}
			r := newReceiver(t)
			c.sim.SetWebhook(r.url, hookSecret)
			got, err := c.try(tc.method, tc.path, tc.body)
			if err != nil {
				t.Fatal(err)
			}
			// What comes after it arrives after it: one goroutine sends in order.
			if _, err := c.sim.CreateLabel("octavia/box", "the end"); err != nil {
				t.Fatal(err)
			}
			want := append(slices.Clone(tc.want), "label.created")
			eventually(t, "the last webhook", func() bool { return len(r.hooks()) >= len(want) })
			if names := r.names(); !slices.Equal(names, want) {
				t.Errorf("%d %s: webhooks %q, want %q", got.status, got.body, names, want)
			}
			for _, h := range r.hooks() {
				if h.payload["repository"].(m)["full_name"] != "octavia/box" || h.payload["sender"].(m)["login"] != "octavia" || h.id == "" {
					t.Errorf("%s lacks repository, sender or id: %v", h.name, h.payload)
				}
			}
		})
	}
}

func TestWebhookPayloads(t *testing.T) {
	t.Parallel()
	c, k := box(t)
	if _, err := c.sim.CreateRepository("octavia/other", false); err != nil {
		t.Fatal(err)
	}
	r := newReceiver(t)
	c.sim.SetWebhook(r.url, hookSecret)
	k.advance(1e11)
	c.do(200, "PATCH", "/repos/octavia/box/issues/1", map[string]any{"title": "two"})
	moved, err := c.sim.TransferIssue("octavia/box", 1, "octavia/other")
	if err != nil {
		t.Fatal(err)
	}
	c.graphql(`mutation($id: ID!) { deleteIssue(input: {issueId: $id}) { clientMutationId } }`, map[string]any{"id": moved.NodeID})
	if err := c.sim.RenameRepository("octavia/other", "octavia/another"); err != nil {
		t.Fatal(err)
	}
	want := []string{"issues.edited", "issues.opened", "issues.transferred", "issues.deleted", "repository.renamed"}
	eventually(t, "the webhooks", func() bool { return len(r.hooks()) >= len(want) })
	if names := r.names(); !slices.Equal(names, want) {
		t.Fatalf("webhooks %q, want %q", names, want)
	}
	at := func(k int, path string) any {
		var v any = r.hooks()[k].payload
		for key := range strings.SplitSeq(path, "/") {
			v = v.(map[string]any)[key]
		}
		return v
	}
	for _, tc := range []struct {
		hook int
		path string
		want any
	}{
		{0, "changes/title/from", "one"},
		{0, "issue/title", "two"},
		{1, "repository/full_name", "octavia/other"},
		{1, "changes/old_issue/number", 1.0},
		{2, "repository/full_name", "octavia/box"},
		{2, "changes/new_issue/id", float64(moved.ID)},
		{3, "issue/number", float64(moved.Number)},
		{4, "changes/repository/name/from", "other"},
	} {
		if got := at(tc.hook, tc.path); got != tc.want {
			t.Errorf("%s of %s is %v, want %v", tc.path, want[tc.hook], got, tc.want)
		}
	}
}

func TestRedelivery(t *testing.T) {
	t.Parallel()
	c, _ := box(t)
	r := newReceiver(t)
	r.status = 500
	c.sim.SetWebhook(r.url, hookSecret)
	c.do(200, "PATCH", "/repos/octavia/box/issues/1", map[string]any{"state": "closed"})
	eventually(t, "the failed delivery", func() bool { d := c.sim.Deliveries(); return len(d) == 1 && d[0].Status == 500 })
	id := c.sim.Deliveries()[0].ID
	c.do(200, "POST", "/_sim/deliveries/"+id, map[string]any{})
	eventually(t, "the second attempt", func() bool { return c.sim.Deliveries()[0].Attempts == 2 })
	hooks := r.hooks()
	if len(hooks) != 2 || hooks[0].id != id || hooks[1].id != id {
		t.Errorf("deliveries %+v, want twice %s", hooks, id)
	}
	if c.sim.Redeliver("no such id") {
		t.Error("an unknown delivery was sent again")
	}
}
